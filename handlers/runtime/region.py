"""A part of a picture as the target of an explanation: left, top, right, bottom from 0 to 1."""

from __future__ import annotations

import math
from typing import TypeAlias

from torch import Tensor

from handlers.runtime.errors import BadRequest
from handlers.runtime.parameters import Parameter
from handlers.runtime.request import Request

Box: TypeAlias = tuple[float, float, float, float]


def region_parameter(what: str) -> Parameter:
    """Declare ``target``; ``what`` names what is explained in the region, such as ``darkness``."""
    return Parameter(
        "target",
        float,
        default=(0.0, 0.0, 1.0, 1.0),
        many=True,
        max_items=4,
        minimum=0,
        maximum=1,
        unit="of the answer's width or height",
        text=f"left, top, right, bottom of the region whose {what} is explained",
    )


def region_of(request: Request) -> Box:
    """Return the request's ``target``.

    Raises:
        BadRequest: it is no region, or an empty one.
    """
    box = request.parameters["target"]
    if len(box) != 4 or box[0] >= box[2] or box[1] >= box[3]:
        raise BadRequest(
            f"parameter 'target' is {box}, expected left, top, right, bottom from 0 to 1 "
            "with left < right and top < bottom"
        )
    left, top, right, bottom = box
    return left, top, right, bottom


def cut(planes: Tensor, box: Box) -> Tensor:
    """Return the part of (..., H, W) that ``box`` touches, at least one cell of it."""
    height, width = planes.shape[-2:]
    left, top, right, bottom = box
    rows = slice(int(top * height), math.ceil(bottom * height))
    columns = slice(int(left * width), math.ceil(right * width))
    return planes[..., rows, columns]
