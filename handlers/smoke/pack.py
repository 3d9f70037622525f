"""What goes into smoke's archive: its weights as a plain state dict, whatever they come as.

The original's file is a Keras model in HDF5. It is read here, when the archive is made, so
that h5py is needed here only and the archive runs with what every TorchServe has. The state
dict is written by torch.save and read with weights_only: the one format for which torch
alone is enough.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

PACKED = "smoke.pth"
# Of the processor; the original's file takes less than one.
MAX_SECONDS = 5
# Of one array; the largest of the network has 13,824.
MAX_NUMBERS = 1 << 20

# Keras' name of a layer's array, and PyTorch's.
CONVOLUTION = {"kernel": "weight", "bias": "bias"}
NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class KerasError(ValueError):
    """A Keras file that cannot be read, or holds another network."""


def inputs(weights: Path) -> list[Path]:
    """Return every file that ``pack`` reads."""
    return [weights]


def pack(weights: Path, out: Path) -> Path:
    """Write the archive's files into ``out`` and return the weight file among them.

    Args:
        weights: the original's ``.h5``, or a state dict of ``SmokeNet`` saved by torch.save.
        out: an existing folder.

    Raises:
        KerasError, WeightsError: what is wrong with ``weights``.
    """
    import torch  # noqa: PLC0415 - heavy

    from handlers.smoke.model import load_network  # noqa: PLC0415

    network = read_keras(weights) if _is_hdf5(weights) else load_network(weights)
    packed = out / PACKED
    torch.save(network.state_dict(), packed)
    return packed


def _is_hdf5(path: Path) -> bool:
    """Tell by the content; what is nothing known and claims to be ``.h5`` is refused as one."""
    from handlers.runtime.filekind import HDF5, UNKNOWN, kind_of  # noqa: PLC0415 - loads torch

    claims = path.suffix.lower() in {".h5", ".hdf5", ".keras"}
    kind = kind_of(path).name if path.is_file() else UNKNOWN
    return kind == HDF5 or (claims and kind in (UNKNOWN, "text", "an empty file"))


def read_keras(path: Path) -> nn.Module:
    """Return ``SmokeNet`` with the weights of a Keras model or weight file (Keras 2 or 3, HDF5).

    Layers are matched by order and kind: Keras numbers their names on through a process.

    Raises:
        KerasError: the file is missing, damaged, or holds another network.
    """
    from handlers.smoke.model import SmokeNet  # noqa: PLC0415 - imports torch

    network = SmokeNet()
    layers = [layer for layer in _layers(path) if layer[1]]
    slots = [(name, module) for name, module in network.named_modules() if _names_of(module)]
    if len(layers) != len(slots):
        raise KerasError(
            f"{path}: {len(layers)} layers have weights, the smoke network has {len(slots)}; "
            "this is another model"
        )
    state = network.state_dict()
    for (layer, arrays), (slot, module) in zip(layers, slots, strict=True):
        for name, value in _converted(arrays, module, f"{path}: layer {layer}").items():
            state[f"{slot}.{name}"] = value
    network.load_state_dict(state)
    return network.eval()


def _layers(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return each layer's name and arrays, in the model's order, which ``layer_names`` holds.

    Read by a process of its own: of some damaged files HDF5's library makes no end, or crashes.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    if not path.is_file():
        raise KerasError(f"{path}: there is no such weight file")
    if importlib.util.find_spec("h5py") is None:
        raise KerasError(f"{path}: reading Keras files needs h5py: pip install h5py")
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "arrays.npz"
        done = subprocess.run(
            [sys.executable, __file__, path, arrays], capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = done.stdout.strip() or f"HDF5's library crashed, or read for {MAX_SECONDS} s"
            raise KerasError(
                f"{path}: no Keras model in HDF5, or damaged ({reason}); expected a file written "
                "by Keras' model.save(...h5)"
            )
        with np.load(arrays) as read:
            names: list[tuple[str, list[str]]] = json.loads(done.stdout)
            return [
                (layer, {leaf: read[f"{at}.{leaf}"] for leaf in leaves})
                for at, (layer, leaves) in enumerate(names)
            ]


def _read_hdf5(path: Path, arrays: Path) -> int:
    """Write all arrays to ``arrays``, and print their names, or why there are none."""
    import h5py  # noqa: PLC0415 - needed for Keras files only
    import numpy as np  # noqa: PLC0415

    # The system ends a process that has taken so long.
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    found: dict[str, Any] = {}
    names: list[tuple[str, list[str]]] = []
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            for at, layer in enumerate(map(_text, root.attrs["layer_names"])):
                places = [_text(name) for name in root[layer].attrs["weight_names"]]
                datasets = {_leaf(place): root[layer][place] for place in places}
                if any(one.size > MAX_NUMBERS for one in datasets.values()):
                    print(f"an array of {layer} has more than {MAX_NUMBERS} numbers")  # noqa: T201
                    return 1
                found |= {f"{at}.{leaf}": one[()] for leaf, one in datasets.items()}
                names.append((layer, [*datasets]))
    except Exception as error:  # noqa: BLE001 - of damaged files h5py raises almost anything
        print(" ".join(str(error).split()))  # noqa: T201 - to who started this process
        return 1
    np.savez(arrays, **found)
    print(json.dumps(names))  # noqa: T201
    return 0


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _leaf(name: str) -> str:
    """``conv2d_3/kernel:0`` (Keras 2) or ``conv2d_3/kernel`` (Keras 3) to ``kernel``."""
    return name.rpartition("/")[2].partition(":")[0]


def _names_of(module: nn.Module) -> Mapping[str, str]:
    from torch import nn  # noqa: PLC0415 - heavy

    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        return CONVOLUTION
    return NORM if isinstance(module, nn.BatchNorm2d) else {}


def _converted(arrays: Mapping[str, Any], module: nn.Module, where: str) -> dict[str, Tensor]:
    """Return a layer's arrays by PyTorch's names and in its layout, checked."""
    names = _names_of(module)
    kind = type(module).__name__
    if set(arrays) != set(names):
        raise KerasError(
            f"{where} holds {', '.join(arrays)}; here the network has {kind} with "
            f"{', '.join(names)}"
        )
    wanted = module.state_dict()
    return {
        names[name]: _tensor(array, wanted[names[name]], f"{where}, {name}")
        for name, array in arrays.items()
    }


def _tensor(array: Any, like: Tensor, where: str) -> Tensor:
    import numpy as np  # noqa: PLC0415 - heavy
    import torch  # noqa: PLC0415

    # (kh, kw, in, out) to (out, in, kh, kw). Transposed convolutions have (kh, kw, out, in)
    # in Keras and (in, out, kh, kw) in PyTorch: the same axes.
    turned = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
    if turned.shape != tuple(like.shape):
        raise KerasError(
            f"{where} has shape {turned.shape} in PyTorch's order, expected {tuple(like.shape)}"
        )
    if turned.dtype.kind != "f" or not np.isfinite(turned).all():
        raise KerasError(f"{where} holds something else than finite numbers")
    return torch.from_numpy(np.ascontiguousarray(turned, dtype=np.float32))


if __name__ == "__main__":
    sys.exit(_read_hdf5(*map(Path, sys.argv[1:])))
