"""What goes into smoke's archive: its weights as a plain state dict, whatever they come as.

The original's file is a Keras model in HDF5. It is read here, when the archive is made, so
that h5py is needed here only and the archive runs with what every TorchServe has. The state
dict is written by torch.save and read with weights_only: the one format for which torch
alone is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

PACKED = "smoke.pth"

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


def _layers(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each layer's name and arrays, in the model's order, which ``layer_names`` holds."""
    if not path.is_file():
        raise KerasError(f"{path}: there is no such weight file")
    try:
        import h5py  # noqa: PLC0415 - needed for Keras files only
    except ImportError as error:
        raise KerasError(f"{path}: reading Keras files needs h5py: pip install h5py") from error
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            for layer in map(_text, root.attrs["layer_names"]):
                names = [_text(name) for name in root[layer].attrs["weight_names"]]
                yield layer, {_leaf(name): root[layer][name][()] for name in names}
    except (OSError, KeyError, TypeError, AttributeError, RuntimeError, UnicodeError) as error:
        raise KerasError(
            f"{path}: no Keras model in HDF5, or damaged ({' '.join(str(error).split())}); "
            "expected a file written by Keras' model.save(...h5)"
        ) from error


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
