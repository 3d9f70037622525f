"""From ``[yolo]`` and ``[region]`` sections to detection heads."""

from __future__ import annotations

from handlers.rotifer.cfg import Section
from handlers.rotifer.graph import LayerPlan, Node
from handlers.rotifer.heads import Grid, Head, Region, Yolo


def yolo(section: Section, plan: LayerPlan) -> Node:
    """Build the head of YOLOv3 and later; without ``mask`` it has all anchors."""
    anchors = _anchors(section)
    mask = section.integers("mask") or list(range(len(anchors)))
    if not all(0 <= index < len(anchors) for index in mask):
        raise section.error(f"mask={section.text('mask', '')} with {len(anchors)} anchors", "mask")
    chosen = tuple(anchors[index] for index in mask)
    grid = Grid(chosen, _classes(section), plan.input.width, plan.input.height)
    new_coords = section.integer("new_coords", 0) != 0
    head = Yolo(grid, section.number("scale_x_y", 1.0), new_coords=new_coords)
    return _head(section, plan, head)


def region(section: Section, plan: LayerPlan) -> Node:
    """Build the head of YOLOv2; its anchors are in cells."""
    section.refuse("softmax_tree", "tree", "map", "log")
    if section.integer("coords", 4) != 4:
        raise section.error("expected coords=4", "coords")
    shape = plan.at(plan.last).shape
    grid = Grid(tuple(_anchors(section)), _classes(section), shape.width, shape.height)
    return _head(section, plan, Region(grid, softmax=section.integer("softmax", 0) != 0))


def _classes(section: Section) -> int:
    return section.integer("classes", 20, minimum=1)


def _anchors(section: Section) -> list[tuple[float, float]]:
    count = section.integer("num", 1, minimum=1)
    numbers = section.numbers("anchors") or []
    if len(numbers) < 2 * count:
        raise section.error(
            f"anchors has {len(numbers)} numbers, expected {2 * count} for num={count}", "anchors"
        )
    return list(zip(numbers[0 : 2 * count : 2], numbers[1 : 2 * count : 2], strict=True))


def _head(section: Section, plan: LayerPlan, head: Head) -> Node:
    before, grid = plan.at(plan.last), head.grid
    if before.shape.channels != grid.channels:
        raise section.error(
            f"{before.shape.channels} channels come in, but {len(grid.anchors)} anchors with "
            f"{grid.classes} classes need {grid.channels}; set filters={grid.channels} in the "
            "[convolutional] before it, or classes here"
        )
    return Node(head, (plan.last,), before.shape, before.step)
