"""From the sections of a ``.cfg`` to layers: one function a kind of section."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from handlers.rotifer.activations import ACTIVATIONS, Activation
from handlers.rotifer.cfg import ConfigError, Section
from handlers.rotifer.graph import LayerPlan, Node, Shape
from handlers.rotifer.head_plan import region, yolo
from handlers.rotifer.heads import Head
from handlers.rotifer.layers import (
    AveragePool,
    Convolution,
    Identity,
    MaxPool,
    Product,
    Reorg,
    Route,
    Scale,
    Shortcut,
    Upsample,
)

# Layers whose weights are stored in unusual ways, or that compute something else with these set.
UNUSUAL_STORAGE = ("dontload", "dontloadscales", "share_index")
UNUSUAL_CONVOLUTION = (
    *("xnor", "binary", "flipped", "antialiasing", "bin_output", "assisted_excitation"),
    *("deform", "sway", "rotate", "stretch", "stretch_sway", "coordconv"),
)


def _activation(section: Section, default: str) -> Activation:
    name = section.text("activation", default)
    if name not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise section.error(f"activation {name} is not supported; known are {known}", "activation")
    return ACTIVATIONS[name]


def _strides(section: Section) -> tuple[int, int]:
    stride = section.integer("stride", 1, minimum=1)
    across = section.integer("stride_x", stride, minimum=1)
    return across, section.integer("stride_y", stride, minimum=1)


def _stepped(step: tuple[int, int], strides: tuple[int, int]) -> tuple[int, int]:
    return step[0] * strides[0], step[1] * strides[1]


def _convolutional(section: Section, plan: LayerPlan) -> Node:
    section.refuse(*UNUSUAL_CONVOLUTION)
    before = plan.at(plan.last)
    filters, groups = _filters(section, before.shape.channels)
    size = section.integer("size", 1, minimum=1)
    padding = section.integer("padding", 0, minimum=0)
    padding = size // 2 if section.integer("pad", 0) else padding
    dilation = section.integer("dilation", 1, minimum=1) if size > 1 else 1
    padding *= dilation
    across, down = _strides(section)
    convolution = nn.Conv2d(
        before.shape.channels, filters, size, (down, across), padding, dilation, groups
    )
    reach = dilation * (size - 1) + 1 - 2 * padding
    height, width = before.shape.height - reach, before.shape.width - reach
    shape = Shape(filters, height // down + 1, width // across + 1)
    activation = _activation(section, "logistic")
    normalized = section.integer("batch_normalize", 0) != 0
    layer = Convolution(convolution, activation, normalized=normalized)
    return Node(layer, (plan.last,), shape, _stepped(before.step, (across, down)))


def _filters(section: Section, channels: int) -> tuple[int, int]:
    filters, groups = (section.integer(key, 1, minimum=1) for key in ("filters", "groups"))
    if channels % groups or filters % groups:
        raise section.error(
            f"groups={groups} does not divide {channels} channels and {filters} filters", "groups"
        )
    return filters, groups


def _batchnorm(section: Section, plan: LayerPlan) -> Node:
    before = plan.at(plan.last)
    return Node(Scale(before.shape.channels), (plan.last,), before.shape, before.step)


def _maxpool(section: Section, plan: LayerPlan) -> Node:
    section.refuse("maxpool_depth", "antialiasing")
    before = plan.at(plan.last)
    strides = _strides(section)
    size = section.integer("size", section.integer("stride", 1), minimum=1)
    layer = MaxPool(size, strides, section.integer("padding", size - 1, minimum=0))
    shape = Shape(
        before.shape.channels,
        layer.extent(before.shape.height, strides[1]),
        layer.extent(before.shape.width, strides[0]),
    )
    return Node(layer, (plan.last,), shape, _stepped(before.step, strides))


def _avgpool(section: Section, plan: LayerPlan) -> Node:
    before = plan.at(plan.last)
    return Node(AveragePool(), (plan.last,), Shape(before.shape.channels, 1, 1), (1, 1))


def _upsample(section: Section, plan: LayerPlan) -> Node:
    before = plan.at(plan.last)
    stride = section.integer("stride", 2)
    if stride == 0:
        raise section.error("stride is 0, expected a factor", "stride")
    factor, reverse = abs(stride), stride < 0
    layer = Upsample(factor, section.number("scale", 1.0), reverse=reverse)
    channels, height, width = before.shape
    across, down = before.step
    if reverse:
        shape, step = Shape(channels, height // factor, width // factor), (factor, factor)
        return Node(layer, (plan.last,), shape, _stepped(before.step, step))
    shape = Shape(channels, height * factor, width * factor)
    return Node(layer, (plan.last,), shape, (max(1, across // factor), max(1, down // factor)))


def _route(section: Section, plan: LayerPlan) -> Node:
    sources = plan.indices(section, "layers")
    groups = section.integer("groups", 1, minimum=1)
    group_id = section.integer("group_id", 0, minimum=0)
    shapes = [plan.nodes[index].shape for index in sources]
    if len({shape[1:] for shape in shapes}) > 1:
        found = ", ".join(f"layer {i}: {s}" for i, s in zip(sources, shapes, strict=True))
        raise section.error(
            f"the layers have unequal sizes ({found}); the network's width and height must be "
            "multiples of its coarsest grid, mostly 32",
            "layers",
        )
    if group_id >= groups or any(shape.channels % groups for shape in shapes):
        raise section.error(f"there is no part {group_id} of {groups} equal ones", "group_id")
    channels = sum(shape.channels // groups for shape in shapes)
    first = plan.nodes[sources[0]]
    shape = Shape(channels, first.shape.height, first.shape.width)
    return Node(Route(groups, group_id), tuple(sources), shape, first.step)


def _shortcut(section: Section, plan: LayerPlan) -> Node:
    section.refuse("weights_type")
    before, others = plan.at(plan.last), plan.indices(section, "from")
    for index in others:
        if not _spreads(before.shape, plan.nodes[index].shape):
            raise section.error(
                f"cannot add layer {index} ({plan.nodes[index].shape}) to {before.shape}: one "
                "must be a whole multiple of the other, alike in width and height",
                "from",
            )
    layer = Shortcut(_activation(section, "linear"))
    return Node(layer, (plan.last, *others), before.shape, before.step)


def _spreads(to: Shape, other: Shape) -> bool:
    """Tell whether one's width and height are the other's, divided alike."""
    shrink = to.width // other.width, to.height // other.height
    grow = other.width // to.width, other.height // to.height
    return shrink[0] == shrink[1] and grow[0] == grow[1]


def _scale_channels(section: Section, plan: LayerPlan) -> Node:
    section.refuse("scale_wh")
    factors, scaled = _two(section, plan)
    if factors.shape != (scaled.shape.channels, 1, 1):
        raise section.error(f"cannot scale {scaled.shape} by {factors.shape}")
    return _product(section, plan, scaled)


def _sam(section: Section, plan: LayerPlan) -> Node:
    one, other = _two(section, plan)
    if one.shape != other.shape:
        raise section.error(f"cannot multiply {one.shape} with {other.shape}", "from")
    return _product(section, plan, other)


def _two(section: Section, plan: LayerPlan) -> tuple[Node, Node]:
    others = plan.indices(section, "from")
    if len(others) != 1:
        raise section.error("expected a single layer in from", "from")
    return plan.at(plan.last), plan.nodes[others[0]]


def _product(section: Section, plan: LayerPlan, larger: Node) -> Node:
    layer = Product(_activation(section, "linear"))
    sources = (plan.last, *plan.indices(section, "from"))
    return Node(layer, sources, larger.shape, larger.step)


def _reorg(section: Section, plan: LayerPlan) -> Node:
    section.refuse("reverse", "flatten", "extra")
    before = plan.at(plan.last)
    stride = section.integer("stride", 1, minimum=1)
    flat = section.kind == "reorg"
    channels, height, width = before.shape
    if height % stride or width % stride or (flat and channels % stride**2):
        raise section.error(f"stride={stride} does not divide {before.shape}", "stride")
    shape = Shape(channels * stride**2, height // stride, width // stride)
    step = _stepped(before.step, (stride, stride))
    return Node(Reorg(stride, flat=flat), (plan.last,), shape, step)


def _identity(section: Section, plan: LayerPlan) -> Node:
    before = plan.at(plan.last)
    return Node(Identity(), (plan.last,), before.shape, before.step)


BUILDERS: dict[str, Callable[[Section, LayerPlan], Node]] = {
    "convolutional": _convolutional,
    "conv": _convolutional,
    "batchnorm": _batchnorm,
    "maxpool": _maxpool,
    "max": _maxpool,
    "avgpool": _avgpool,
    "avg": _avgpool,
    "upsample": _upsample,
    "route": _route,
    "shortcut": _shortcut,
    "scale_channels": _scale_channels,
    "sam": _sam,
    "reorg": _reorg,
    "reorg3d": _reorg,
    "dropout": _identity,
    "cost": _identity,
    "yolo": yolo,
    "region": region,
}


def make_plan(sections: list[Section], size: tuple[int, int]) -> LayerPlan:
    """Build all layers for an input of ``size`` (width, height), weights not yet filled.

    Raises:
        ConfigError: names the section and its line.
    """
    net = sections[0]
    if net.integer("channels", 3) != 3:
        raise net.error(f"channels={net.text('channels', '')}, expected 3 for RGB", "channels")
    plan = LayerPlan(Shape(3, size[1], size[0]))
    for section in sections[1:]:
        plan.nodes.append(_node(section, plan))
    heads = [node.layer for node in plan.nodes if isinstance(node.layer, Head)]
    if not heads:
        raise ConfigError(f"{net.source}: there is no [yolo] or [region]: it detects nothing")
    if len({head.grid.classes for head in heads}) > 1:
        raise ConfigError(f"{net.source}: all heads must have the same number of classes")
    return plan


def _node(section: Section, plan: LayerPlan) -> Node:
    """Build the layer that ``section`` describes; it must be supported, and fit the others."""
    build = BUILDERS.get(section.kind)
    if build is None:
        known = ", ".join(BUILDERS)
        raise section.error(f"this section is not supported; supported are {known}")
    section.refuse(*UNUSUAL_STORAGE)
    node = build(section, plan)
    if min(node.shape) < 1:
        raise section.error(
            f"the output would be {node.shape}; the network's input is too small for it"
        )
    return node
