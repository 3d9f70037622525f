"""The two CIFAR-10 networks, their classes and their preprocessing.

Both come from KeithPallo/DeepLearningFinalProject_Winter2019 and load that project's
weights. A weight file says by its keys which of the two it is, and by its shapes how
wide, so the small demo networks and the original ones need no configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice, pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from handlers.runtime.weights import WeightsError, fit_state, read_state

CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIZE = 32

# By these a file is told to be one of the two, and which.
MARKS = ("conv1.weight", "features.0.weight")

# Channels of each convolution as multiples of the first one's; "M" halves the picture.
VGG11_PLAN = (1, "M", 2, "M", 4, 4, "M", 8, 8, "M", 8, 8, "M")


class LeNet(nn.Module):
    """LeNet with wide layers: (N, 3, 32, 32) in [-1, 1] to (N, 10) logits."""

    def __init__(self, conv1: int = 32, conv2: int = 64, fc1: int = 120, fc2: int = 84) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, conv1, 5)
        self.conv2 = nn.Conv2d(conv1, conv2, 5)
        self.relu2 = nn.ReLU()  # a layer of its own: explanations look at what it passes on
        self.fc1 = nn.Linear(conv2 * 5 * 5, fc1)
        self.fc2 = nn.Linear(fc1, fc2)
        self.fc3 = nn.Linear(fc2, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, no softmax."""
        x = functional.max_pool2d(functional.relu(self.conv1(images)), 2)  # (N, conv1, 14, 14)
        x = functional.max_pool2d(self.relu2(self.conv2(x)), 2)  # (N, conv2, 5, 5)
        x = x.flatten(1)  # in C, H, W order whatever the memory format; a view would refuse some
        x = functional.relu(self.fc1(x))
        x = functional.relu(self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits


class VGG11(nn.Module):
    """VGG11 with batch norm: (N, 3, 32, 32) in [-1, 1] to (N, 10) logits.

    ``width`` is the number of channels of the first convolution, 64 in the original;
    the others keep their proportion to it.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.features = nn.Sequential(*_vgg11_layers(width))
        self.classifier = nn.Linear(8 * width, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, no softmax."""
        logits: Tensor = self.classifier(self.features(images).flatten(1))  # (N, 8 * width, 1, 1)
        return logits

    def fold(self) -> None:
        """Fold the norms into the convolutions; the weights must not change from now on.

        The answer moves by rounding, and small networks take a tenth to a quarter less time.
        """
        for at, (layer, following) in enumerate(pairwise(self.features)):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                self.features[at] = fuse_conv_bn_eval(layer, following)
                self.features[at + 1] = nn.Identity()  # later layers keep their positions


def _vgg11_layers(width: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 3
    for step in VGG11_PLAN:
        if isinstance(step, str):
            layers.append(nn.MaxPool2d(2))
            continue
        layers += _convolution(channels, step * width)
        channels = step * width
    return [*layers, nn.AvgPool2d(1)]  # does nothing, but the original has it at position 29


def _convolution(channels: int, out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


def network_for(state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """Return the network that ``state`` was made for, sized by it but not yet filled.

    The parameters are uninitialised memory: give them values with ``fit_state``.

    Raises:
        WeightsError: names ``path`` and the first keys when it is neither network.
    """
    with torch.device("meta"):  # no memory and no random numbers for values to be replaced
        network = _network_on_meta(state, path)
    # What to_empty does, which loads sympy for it: a third of the time until cifar answers.
    values = network.state_dict().items()
    empty = {key: torch.empty(value.shape, dtype=value.dtype) for key, value in values}
    network.load_state_dict(empty, assign=True)
    return network


def _network_on_meta(state: Mapping[str, Tensor], path: Path) -> nn.Module:
    if "conv1.weight" in state:
        defaults = {"conv1": 32, "conv2": 64, "fc1": 120, "fc2": 84}
        return LeNet(**{name: _outputs(state, name, width) for name, width in defaults.items()})
    if "features.0.weight" in state:
        return VGG11(_outputs(state, "features.0", 64))
    raise WeightsError(
        f"{path}: neither LeNet (which has conv1.weight) nor VGG11 (features.0.weight); "
        f"its first keys are {', '.join(islice(state, 5)) or 'none at all'}"
    )


def _outputs(state: Mapping[str, Tensor], layer: str, default: int) -> int:
    """Return the layer's output width; fit_state reports a missing or misshapen one."""
    weight = state.get(f"{layer}.weight")
    return len(weight) if weight is not None and weight.ndim and len(weight) else default


def load_network(path: Path) -> nn.Module:
    """Read LeNet or VGG11 from a state dict, on the CPU, in evaluation mode.

    Raises:
        WeightsError: the file cannot be read or fits neither network, key for key.
    """
    state = read_state(path, MARKS)
    network = network_for(state, path)
    fit_state(network, state, path)
    return network.eval()


def late_layer(network: nn.Module) -> nn.Module:
    """Return the layer whose maps tell classes apart and still show where: 10x10 or 8x8.

    Both are behind a ReLU: a weighted sum of maps (Grad-CAM) must not count what is below zero,
    which the rest of the network never sees.
    """
    if isinstance(network, LeNet):
        return network.relu2
    if isinstance(network, VGG11):
        return network.features[13]  # after the fourth convolution; behind it maps have 4x4
    raise TypeError(f"expected LeNet or VGG11, found {type(network).__name__}")


def normalise(images: Tensor) -> Tensor:
    """Turn uint8 RGB (N, 3, 32, 32) into float32 in [-1, 1], as in training.

    (x / 255 - 0.5) / 0.5 = x / 127.5 - 1 for every channel.
    """
    return images.to(torch.float32).div(127.5).sub(1.0)
