"""How an answer is shown, by the word that its handler declares; else by the answer's type.

What each word needs of an answer is in docs/new-model.md. An answer that is otherwise is shown by
its type as well.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from marquee.media import is_text
from marquee.studio import html, pictures

JSON, NPY = "application/json", "application/x-npy"
PICTURES = ("image/jpeg", "image/png")
# What an answer that is not as declared makes of reading it.
OTHERWISE = (ValueError, KeyError, TypeError, IndexError, AttributeError)
# Of what is printed; the file to download has all.
LONGEST_TEXT, LONGEST_LIST, LONGEST_WORD = 20_000, 24, 160
# Of classes, by their number; they differ for those who see few colours, too.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#b8a800", "#666666")
MOST_BOXES = 2000


@dataclass(frozen=True)
class Input:
    """What was asked about.

    Attributes:
        picture: as people see it; None where it cannot be seen.
        size: width and height that boxes in the answer refer to, where it is known.
        threshold: the probability from which on a pixel belongs to a mask.
    """

    picture: Image.Image | None = None
    size: tuple[int, int] | None = None
    threshold: float = 0.5


@dataclass(frozen=True)
class Show:
    """One way to show answers.

    Attributes:
        accepts: types of answers that it reads, the best first.
        show: makes HTML of an answer of such a type.
    """

    accepts: Sequence[str]
    show: Callable[[bytes, Input], str]

    def accept(self, produces: Sequence[str]) -> str | None:
        """Return the type to ask for; None where the model has none that fits."""
        return next((kind for kind in self.accepts if kind in produces), None)


def wanted(word: str | None, produces: Sequence[str]) -> str | None:
    """Return the type to ask a model for; None for its own choice."""
    show = SHOWS.get(word or "")
    return None if show is None else show.accept(produces)


def shown(word: str | None, media: str, body: bytes, asked: Input) -> str:
    """Return an answer as HTML."""
    show = SHOWS.get(word or "")
    if show is not None and media in show.accepts:
        try:
            return show.show(body, asked)
        except OTHERWISE:
            return by_type(media, body)
    return by_type(media, body)


def by_type(media: str, body: bytes) -> str:
    """Return any answer as HTML."""
    try:
        if media == JSON:
            return html.render("text", text=_pretty(json.loads(body)))
        if media.startswith("image/"):
            return html.render("picture", picture=html.uri(pictures.limited(_picture(body))))
        if media == NPY:
            return _numbers(np.load(io.BytesIO(body), allow_pickle=False))
    except OTHERWISE:
        return html.render("file", media=media, bytes=len(body))
    if is_text(body):
        return html.render("text", text=_cut(body.decode(errors="replace"), LONGEST_TEXT))
    return html.render("file", media=media, bytes=len(body))


def _classes(body: bytes, _asked: Input) -> str:
    named = json.loads(body)["probabilities"]
    bars = sorted(((str(name), float(p)) for name, p in named.items()), key=lambda bar: -bar[1])
    return html.render("classes", bars=bars, label=bars[0][0])


def _image(body: bytes, asked: Input) -> str:
    after = _picture(body)
    wide, high = after.size
    if asked.picture is None or abs(_aspect(asked.picture) / (wide / high) - 1) > 0.1:
        return html.render("picture", picture=html.uri(pictures.limited(after)))
    before = asked.picture.resize(after.size, Image.Resampling.LANCZOS)
    return html.render(
        "compare", before=html.uri(before), after=html.uri(after), width=wide, height=high
    )


def _detections(body: bytes, asked: Input) -> str:
    answer = json.loads(body)
    found = [_box(one) for one in answer["detections"]]
    picture, size = asked.picture, asked.size
    if "img" in answer:  # what was looked at: not all of the input where that was cut
        drawn = _picture(base64.b64decode(answer["img"]))
        if size != drawn.size:
            picture, size = drawn, drawn.size
    if picture is None or size is None:
        raise ValueError("there is no picture to draw on")
    names = [name for name, _ in Counter(box["name"] for box in found).most_common()]
    for box in found:
        box["colour"] = COLOURS[names.index(box["name"]) % len(COLOURS)]
    return html.render(
        "detections",
        picture=html.uri(pictures.limited(picture)),
        width=size[0],
        height=size[1],
        boxes=sorted(found[:MOST_BOXES], key=lambda box: -box["width"] * box["height"]),
        names=names,
        colours={name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)},
        # The slider's first place, which hides none of them.
        lowest=math.floor(100 * min((box["score"] for box in found), default=0.0)) / 100,
    )


def _box(one: Any) -> dict[str, Any]:
    """Read a detection: ``label``, ``score`` and corners, or darknet's ``class`` and centre."""
    if "class" in one:
        x, y, width, height = (float(value) for value in one["box"])
        left, top = x - width / 2, y - height / 2
        name, score = one["class"], one["probability"]
    else:
        left, top, right, bottom = (float(value) for value in one["box"])
        width, height = right - left, bottom - top
        name, score = one["label"], one["score"]
    place = {"left": left, "top": top, "width": width, "height": height}
    return {"name": str(name), "score": float(score), **place}


def _mask(body: bytes, asked: Input) -> str:
    mask = np.load(io.BytesIO(body), allow_pickle=False)
    plane = _plane(mask)
    picture = asked.picture or Image.new("RGB", (plane.shape[1], plane.shape[0]), "#222222")
    if plane.dtype.kind == "f":
        return _probabilities(plane, picture, asked.threshold)
    return _areas(plane, picture)


def _plane(mask: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W) of (H, W), (1, H, W), (H, W, 1) and the like."""
    while mask.ndim > 2 and 1 in (mask.shape[0], mask.shape[-1]):
        mask = mask[0] if mask.shape[0] == 1 else mask[..., 0]
    if mask.ndim != 2:
        raise ValueError(f"a mask is (H, W), not {mask.shape}")
    return mask


def _probabilities(plane: NDArray[Any], picture: Image.Image, threshold: float) -> str:
    """Return a mask of probabilities, whose threshold can be moved."""
    bins, _ = np.histogram(plane, bins=100, range=(0, 1))
    grey = Image.fromarray(np.rint(plane.clip(0, 1) * 255).astype(np.uint8))
    return html.render(
        "mask",
        picture=html.uri(picture),
        mask=html.uri(pictures.limited(grey)),
        bins=",".join(str(count) for count in bins),
        largest=float(plane.max()),
        threshold=threshold,
    )


def _areas(plane: NDArray[Any], picture: Image.Image) -> str:
    """Return a mask of classes; the first is the background, and stays as it is."""
    numbers, counts = np.unique(plane, return_counts=True)
    layer = np.zeros((*plane.shape, 4), np.uint8)
    areas = []
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        if number:
            colour = COLOURS[(number - 1) % len(COLOURS)]
            layer[plane == number] = (*bytes.fromhex(colour[1:]), 255)
            areas.append((f"class {number}", colour, count / plane.size))
    layered = pictures.limited(Image.fromarray(layer, "RGBA"))
    return html.render("areas", picture=html.uri(picture), layer=html.uri(layered), areas=areas)


def _ages(body: bytes, _asked: Input) -> str:
    answer = json.loads(body)
    media = str(answer["type"])
    faces = [("now", answer["original"])]
    faces += [(f"{one['age']} years", one["image"]) for one in answer["ages"]]
    strip = [(name, html.data_uri(base64.b64decode(data), media)) for name, data in faces]
    return html.render("ages", strip=strip)


SHOWS = {
    "classes": Show((JSON,), _classes),
    "image": Show(PICTURES, _image),
    "detections": Show((JSON,), _detections),
    "mask": Show((NPY,), _mask),
    "ages": Show((JSON,), _ages),
}


def _picture(body: bytes) -> Image.Image:
    return pictures.of_bytes(body)


def _aspect(picture: Image.Image) -> float:
    return picture.width / picture.height


def _numbers(array: NDArray[Any]) -> str:
    picture = pictures.of_array(array)
    return html.render(
        "numbers",
        shape=" x ".join(str(side) for side in array.shape) or "one number",
        dtype=str(array.dtype),
        low=float(array.min()) if array.size else None,
        high=float(array.max()) if array.size else None,
        picture=None if picture is None else html.uri(picture),
    )


def _pretty(value: Any) -> str:
    return _cut(json.dumps(_shortened(value), indent=2, ensure_ascii=False), LONGEST_TEXT)


def _shortened(value: Any) -> Any:
    """Return JSON that can be read: long lists and texts cut, and how much is missing."""
    if isinstance(value, dict):
        return {key: _shortened(inner) for key, inner in value.items()}
    if isinstance(value, list):
        shortened = [_shortened(inner) for inner in value[:LONGEST_LIST]]
        more = len(value) - LONGEST_LIST
        return [*shortened, f"... {more} more"] if more > 0 else shortened
    return _cut(value, LONGEST_WORD) if isinstance(value, str) else value


def _cut(text: str, longest: int) -> str:
    more = len(text) - longest
    return f"{text[:longest]} ... {more} letters more" if more > 0 else text
