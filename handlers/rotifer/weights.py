"""darknet's ``.weights`` files: read into a network, and written.

Little endian: int32 major, minor, revision; the number of pictures seen in training, 64 bits
from version 0.2 on and 32 before; then float32 for each convolution in order: biases, with batch
norm also scales, means and variances, then the kernels (filters, channels / groups, row, column).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handlers.rotifer.layers import Convolution, Scale
from handlers.runtime.filekind import DARKNET, UNKNOWN, kind_of
from handlers.runtime.weights import WeightsError

Floats = NDArray[np.float32]

# Added to the standard deviation, outside the root; PyTorch adds to the variance, inside it.
EPSILON = 1e-6
VERSION = (0, 2, 5)


class WeightReader:
    """Takes numbers from a ``.weights`` file one after another.

    Attributes:
        seen: pictures seen in training, as the header says.

    Raises:
        WeightsError: the file is missing, or too short for a header.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise WeightsError(f"{path}: there is no such weight file")
        with path.open("rb") as file:
            head = file.read(20)
        kind = kind_of(path)
        if kind.name not in (DARKNET, UNKNOWN):
            raise WeightsError(
                f"{path}: is {kind.name}, expected a .weights file that darknet wrote; "
                "train or convert the network with darknet"
            )
        if len(head) < 20:
            raise WeightsError(f"{path}: {len(head)} bytes are no darknet weights; copy it again")
        major, minor, _ = struct.unpack_from("<3i", head)
        wide = 10 * major + minor >= 2
        (self.seen,) = struct.unpack_from("<Q" if wide else "<I", head, 12)
        self.path, self._size = path, path.stat().st_size
        self._offset = 20 if wide else 16
        # Nothing can be mapped of a file that is a header alone.
        self._numbers: Floats = np.empty(0, np.float32)
        if self.left:
            self._numbers = np.memmap(path, "<f4", "r", self._offset, (self.left,))

    @property
    def left(self) -> int:
        """Whole numbers not taken yet."""
        return (self._size - self._offset) // 4

    def take(self, shape: tuple[int, ...]) -> Floats:
        """Take the next numbers; the length must have been checked before."""
        start, count = len(self._numbers) - self.left, int(np.prod(shape))
        self._offset += 4 * count
        return np.array(self._numbers[start : start + count], np.float32).reshape(shape)

    def check_length(self, needs: Iterable[tuple[str, int]]) -> None:
        """Compare the file's length with the numbers that each layer, by its name, needs.

        Raises:
            WeightsError: names the layer in which the file ends, or what is left over.
        """
        left = self._size - self._offset
        for name, count in needs:
            if 4 * count > left:
                raise WeightsError(
                    f"{self.path}: ends inside {name}, which needs {count} numbers where "
                    f"{left // 4} are left; the file is truncated, or belongs to another .cfg"
                )
            left -= 4 * count
        if left:
            raise WeightsError(
                f"{self.path}: {left} bytes are left after the last layer ({self._size} in all); "
                "the file belongs to another .cfg"
            )


def load_weights(layers: Iterable[tuple[str, nn.Module]], path: Path) -> None:
    """Fill named layers from a ``.weights`` file, batch norms folded into their convolutions.

    Raises:
        WeightsError: missing, too short or too long, or holding NaN; names the layer.
    """
    named, reader = list(layers), WeightReader(path)
    reader.check_length((name, _numbers(layer)) for name, layer in named)
    for name, layer in named:
        if isinstance(layer, Convolution):
            _fill(layer.convolution, *_convolution(reader, layer), path, name)
        elif isinstance(layer, Scale):
            _fill(layer, *_fold(reader, len(layer.weight)), path, name)


def _numbers(layer: nn.Module) -> int:
    """Return how many numbers of the file belong to a layer."""
    if isinstance(layer, Convolution):
        weight = layer.convolution.get_parameter("weight")
        return weight.numel() + len(weight) * (4 if layer.normalized else 1)
    return 3 * len(layer.weight) if isinstance(layer, Scale) else 0


def _convolution(
    reader: WeightReader, layer: Convolution
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shape = tuple(layer.convolution.get_parameter("weight").shape)
    bias = reader.take(shape[:1]).astype(np.float64)
    scale: NDArray[np.float64] = np.ones(shape[0])
    if layer.normalized:
        scale, shift = _fold(reader, shape[0])
        bias += shift
    return reader.take(shape) * scale[:, None, None, None], bias


def _fold(reader: WeightReader, channels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn scale * (x - mean) / (sqrt(variance) + EPSILON) into factor * x + shift."""
    scales, means, variances = reader.take((3, channels)).astype(np.float64)
    with np.errstate(invalid="ignore"):
        factor = scales / (np.sqrt(variances) + EPSILON)
    return factor, -means * factor


def _fill(
    target: nn.Module,
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
    path: Path,
    name: str,
) -> None:
    for key, values in (("weight", weight), ("bias", bias)):
        if not np.isfinite(values).all():
            raise WeightsError(f"{path}: NaN or infinite numbers in {name}; the file is damaged")
        tensor = torch.from_numpy(values.astype(np.float32))
        setattr(target, key, nn.Parameter(tensor, requires_grad=False))


def write_weights(path: Path, blobs: Iterable[Tensor], seen: int) -> None:
    """Write numbers in the order of the layers, with the header of version 0.2.5."""
    with path.open("wb") as file:
        file.write(struct.pack("<3iQ", *VERSION, seen))
        for blob in blobs:
            file.write(blob.detach().cpu().numpy().astype("<f4").tobytes())
