"""How the demo network learns: YOLOv3's loss with boxes by generalised IoU, and the export."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import box_iou, generalized_box_iou_loss

from handlers.rotifer.demo.scenes import Scene
from handlers.rotifer.heads import Head
from handlers.rotifer.layers import Convolution
from handlers.rotifer.model import Darknet
from handlers.rotifer.weights import EPSILON

# An anchor is responsible for boxes whose shape overlaps it by this much, and for its best.
SHAPE_OVERLAP = 0.45
# A cell that predicts a box this well, though not responsible, is not told that it is wrong.
IGNORED_OVERLAP = 0.6
LARGEST_EXPONENT = 4.0
WEIGHTS = {"box": 3.0, "objectness": 1.0, "classes": 1.0}
AVERAGING = 0.995


def trainable(network: Darknet) -> Darknet:
    """Give each convolution fresh weights, and a batch norm of its own where the cfg says so."""
    for layer in network.layers:
        if isinstance(layer, Convolution) and isinstance(layer.convolution, nn.Conv2d):
            layer.convolution = _fresh(layer.convolution, normalized=layer.normalized)
    return network


def _fresh(planned: nn.Conv2d, *, normalized: bool) -> nn.Module:
    made = copy.deepcopy(planned)
    nn.init.kaiming_normal_(made.weight, a=0.1)
    bias = made.get_parameter("bias")
    if normalized:
        made.bias = None
        return nn.Sequential(made, nn.BatchNorm2d(made.out_channels))
    with torch.no_grad():
        made.weight.mul_(0.1)
        bias.zero_().view(-1, 10)[:, 4] = -4.0  # hardly any cell holds an object
    return made


def exported(network: Darknet) -> Iterator[Tensor]:
    """Yield a trained network's numbers in the order of a ``.weights`` file.

    PyTorch divides by sqrt(variance + eps), darknet by sqrt(variance) + 1e-6: the variance is
    changed so that both divide by the same.
    """
    for layer in network.layers:
        if not isinstance(layer, Convolution):
            continue
        if isinstance(layer.convolution, nn.Sequential):
            kernel, norm = layer.convolution
            yield from (norm.get_parameter("bias"), norm.get_parameter("weight"))
            yield norm.get_buffer("running_mean")
            variance = norm.get_buffer("running_var").double() + cast(nn.BatchNorm2d, norm).eps
            yield (variance.sqrt() - EPSILON).square().float()
        else:
            kernel = layer.convolution
            yield kernel.get_parameter("bias")
        yield kernel.get_parameter("weight")


class Average:
    """A running average of a network's parameters and statistics."""

    def __init__(self, network: Darknet) -> None:
        self.network = copy.deepcopy(network).eval()
        self._steps = 0

    @torch.no_grad()
    def follow(self, network: Darknet) -> None:
        """Move a little towards ``network``."""
        self._steps += 1
        keep = min(AVERAGING, self._steps / (self._steps + 10))
        state = network.state_dict()
        for key, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(state[key], 1 - keep)


def loss(network: Darknet, pictures: Tensor, scenes: list[Scene]) -> Tensor:
    """Return the loss of a batch (N, 3, height, width) with its scenes' boxes, one number."""
    outputs = network(pictures)
    total = pictures.new_zeros(())
    for which, (head, output) in enumerate(zip(network.heads, outputs, strict=True)):
        parts = output.unflatten(1, (len(head.grid.anchors), -1)).permute(0, 1, 3, 4, 2)
        predicted = _corners(_decode(head, parts))  # (N, anchors, H, W, 4)
        responsible = _responsible(network, which, scenes, parts)
        total = total + _head_loss(parts, predicted, responsible, scenes)
    return total


def _decode(head: Head, parts: Tensor) -> Tensor:
    """Return boxes (..., 4) as centre and size in shares of the picture."""
    height, width = parts.shape[2:4]
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centres = (parts[..., :2] + torch.stack([xs, ys], -1)) / torch.tensor([width, height])
    anchors = torch.tensor(head.grid.anchors)[:, None, None]
    pixels = parts[..., 2:4].clamp(max=LARGEST_EXPONENT).exp() * anchors
    return torch.cat([centres, pixels / torch.tensor([head.grid.width, head.grid.height])], -1)


def _corners(boxes: Tensor) -> Tensor:
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], -1)


def _responsible(network: Darknet, which: int, scenes: list[Scene], parts: Tensor) -> Tensor:
    """Return (K, 5): picture, anchor, row, column and number of the box it must predict."""
    every = torch.tensor([anchor for head in network.heads for anchor in head.grid.anchors])
    first = sum(len(head.grid.anchors) for head in network.heads[:which])
    count = len(network.heads[which].grid.anchors)
    height, width = parts.shape[2:4]
    found = []
    for picture, scene in enumerate(scenes):
        boxes = torch.from_numpy(scene.boxes)
        overlap = _shape_overlap(boxes[:, 2:] * torch.tensor(network.size), every)
        chosen = overlap > SHAPE_OVERLAP
        chosen[torch.arange(len(boxes)), overlap.argmax(1)] = True
        for number, anchor in chosen[:, first : first + count].nonzero().tolist():
            x, y = (boxes[number, :2] * torch.tensor([width, height])).long().tolist()
            row, column = min(y, height - 1), min(x, width - 1)
            found.append((picture, anchor, row, column, number))
    return torch.tensor(found, dtype=torch.long).reshape(-1, 5)


def _shape_overlap(sizes: Tensor, anchors: Tensor) -> Tensor:
    """Return (N, M) IoU of boxes with a common centre."""
    common = torch.minimum(sizes[:, None], anchors).prod(-1)
    return common / (sizes.prod(-1)[:, None] + anchors.prod(-1) - common)


def _head_loss(
    parts: Tensor, predicted: Tensor, responsible: Tensor, scenes: list[Scene]
) -> Tensor:
    picture, anchor, row, column, number = responsible.unbind(1)
    pairs = list(zip(picture.tolist(), number.tolist(), strict=True))
    objectness = parts[..., 4]
    wanted = torch.zeros_like(objectness)
    wanted[picture, anchor, row, column] = 1
    counts = torch.maximum(wanted, (~_near_a_box(predicted.detach(), scenes)).float())
    errors = functional.binary_cross_entropy(objectness, wanted, reduction="none")
    # Summed a picture; the few responsible cells would drown in a mean over all.
    total = WEIGHTS["objectness"] * (errors * counts).sum() / len(scenes)
    if pairs:
        boxes = torch.stack([torch.from_numpy(scenes[p].boxes[n]) for p, n in pairs])
        kinds = torch.tensor([scenes[p].classes[n] for p, n in pairs])
        chosen = parts[picture, anchor, row, column]
        close = generalized_box_iou_loss(
            predicted[picture, anchor, row, column], _corners(boxes), reduction="sum"
        )
        named = functional.binary_cross_entropy(
            chosen[:, 5:], functional.one_hot(kinds, chosen.shape[1] - 5).float(), reduction="sum"
        )
        total = total + (WEIGHTS["box"] * close + WEIGHTS["classes"] * named) / len(scenes)
    return total


def _near_a_box(predicted: Tensor, scenes: list[Scene]) -> Tensor:
    """Tell for each prediction (N, anchors, H, W, 4) whether it overlaps some box well."""
    near = torch.zeros(predicted.shape[:-1], dtype=torch.bool)
    for which, scene in enumerate(scenes):
        if len(scene.boxes):
            true = _corners(torch.from_numpy(scene.boxes))
            best = box_iou(predicted[which].reshape(-1, 4), true).amax(1)
            near[which] = (best > IGNORED_OVERLAP).view(near.shape[1:])
    return near
