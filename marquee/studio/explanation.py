"""An explanation as a heat map over the input, with its method and what it leaves unexplained."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

from marquee.studio import html
from marquee.studio.shows import JSON, OTHERWISE, Input, by_type

# For and against: red and blue, which differ for those who see few colours, too.
FOR, AGAINST = (192, 57, 43), (44, 90, 160)


def shown(media: str, body: bytes, asked: Input) -> str:
    """Return an explanation as HTML."""
    try:
        return _heat_map(body, asked) if media == JSON else by_type(media, body)
    except OTHERWISE:
        return by_type(media, body)


def _heat_map(body: bytes, asked: Input) -> str:
    said = json.loads(body)
    cells = np.array(said["attributions"], np.float32)
    rows, columns = cells.shape
    picture = asked.picture or Image.new("RGB", (columns * 8, rows * 8), "#222222")
    target = said["target"]
    return html.render(
        "explanation",
        picture=html.uri(picture),
        heat=html.uri(heat(cells, picture.size)),
        target=target if isinstance(target, str) else json.dumps(target),
        method=said["method"].replace("_", " "),
        steps=said["steps"],
        score=said["score"],
        baseline=said["baseline_score"],
        missing=said["relative_completeness_error"],
    )


def heat(cells: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Return sums of attributions (rows, columns) as a layer (RGBA) of this width and height."""
    strength = np.abs(cells)
    # One cell that stands out must not make all others pale.
    most = float(np.percentile(strength, 97)) or float(strength.max()) or 1.0
    alpha = (strength / most).clip(0, 1)
    layer = np.where(cells[..., None] >= 0, np.array(FOR), np.array(AGAINST)).astype(np.float32)
    made = np.concatenate([layer, 255 * alpha[..., None]], axis=-1).astype(np.uint8)
    return Image.fromarray(made, "RGBA").resize(size, Image.Resampling.BICUBIC)
