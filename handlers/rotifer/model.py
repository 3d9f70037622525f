"""Any darknet detection network as a PyTorch module, from its ``.cfg`` and ``.weights``.

Source: J. Redmon, A. Farhadi, "YOLOv3: An Incremental Improvement", arXiv:1804.02767, and the
file formats of https://github.com/AlexeyAB/darknet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from handlers.rotifer.cfg import ConfigError, Section, read_cfg
from handlers.rotifer.detections import Candidates, Floats, Suppression
from handlers.rotifer.heads import Head
from handlers.rotifer.plan import make_plan
from handlers.rotifer.weights import load_weights

Size = tuple[int, int]


class Darknet(nn.Module):
    """The layers of a ``.cfg`` in order, weights not yet filled.

    Args:
        sections: as :func:`handlers.rotifer.cfg.read_cfg` returns them.
        size: width and height of the input in pixels, other than the ``.cfg`` says.

    Attributes:
        size: width and height of the input in pixels.
        classes: how many.

    Raises:
        ConfigError: names the section, its line, and what is not supported or does not fit.
    """

    def __init__(self, sections: list[Section], size: Size | None = None) -> None:
        super().__init__()
        own = own_size(sections[0])
        self.size = size or own
        plan = make_plan(sections, own)
        if self.size != own:
            _check_multiple(sections[0], self.size, [node.step for node in plan.nodes])
            plan = make_plan(sections, self.size)
        self.layers = nn.ModuleList(node.layer for node in plan.nodes)
        self.sources = [node.sources for node in plan.nodes]
        self.names = [
            f"layer {index} [{section.kind}] (line {section.line} of {section.source})"
            for index, section in enumerate(sections[1:])
        ]
        self._last_use = {i: at for at, used in enumerate(self.sources) for i in used}
        self.classes = self.heads[0].grid.classes
        self._nms = _suppression(sections)

    @property
    def heads(self) -> list[Head]:
        """The detection heads, in order."""
        return [layer for layer in self.layers if isinstance(layer, Head)]

    def named_layers(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield each layer with a name for messages, in the order of the weight file."""
        return zip(self.names, self.layers, strict=True)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Run the network.

        Args:
            pictures: (N, 3, height, width) RGB in [0, 1], of this network's size.

        Returns:
            What each head gives, float32 (N, anchors * (5 + classes), H, W).
        """
        outputs: dict[int, Tensor] = {-1: pictures}
        found = []
        for index, (layer, sources) in enumerate(zip(self.layers, self.sources, strict=True)):
            outputs[index] = layer(*(outputs[source] for source in sources))
            if isinstance(layer, Head):
                found.append(outputs[index])
            for used in (*sources, index):
                if self._last_use.get(used, -1) <= index:
                    outputs.pop(used, None)  # no later layer needs it
        return tuple(found)

    def candidates(
        self, outputs: tuple[Floats, ...], picture: Size, threshold: float
    ) -> Candidates:
        """Read boxes from what ``forward`` gave for one picture of (width, height) pixels."""
        pairs = zip(self.heads, outputs, strict=True)
        return Candidates.joined([head.candidates(out, picture, threshold) for head, out in pairs])

    def suppression(self, threshold: float) -> Suppression:
        """Return this network's rule to drop neighbours with more overlap than ``threshold``."""
        return Suppression(threshold, self._nms)


def load_network(cfg: Path, weights: Path, size: Size | None = None) -> Darknet:
    """Read a network in evaluation mode, float32, on the CPU.

    Raises:
        ConfigError, WeightsError: what is wrong with which file.
    """
    sections = read_cfg(cfg)
    with torch.device("meta"):  # no memory before the file has shown that it holds that much
        network = Darknet(sections, size)
    load_weights(network.named_layers(), weights)
    return network.eval()


def own_size(net: Section) -> Size:
    """Return the input's width and height as the ``[net]`` section says."""
    return net.integer("width", 0, minimum=1), net.integer("height", 0, minimum=1)


def _check_multiple(net: Section, size: Size, steps: list[Size]) -> None:
    for side, value, axis in zip(("width", "height"), size, (0, 1), strict=True):
        needed = math.lcm(*(step[axis] for step in steps))
        if value < 1 or value % needed:
            raise ConfigError(
                f"marquee.options.{side} is {value}; the network of {net.source} needs a "
                f"multiple of {needed}, such as {max(1, round(value / needed)) * needed}"
            )


def _suppression(sections: list[Section]) -> float:
    """Return the power of the distance that the last head's ``nms_kind`` asks for."""
    last = [section for section in sections if section.kind in ("yolo", "region")][-1]
    kind = last.text("nms_kind", "default")
    if kind not in ("default", "greedynms", "diounms"):
        raise last.error(
            f"nms_kind={kind} is not supported; known are default, greedynms, diounms", "nms_kind"
        )
    return last.number("beta_nms", 0.6) if kind == "diounms" else 0.0
