"""Many files: each with its answer in a few words, or why it has none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from PIL import Image

from marquee.studio import html, pictures
from marquee.studio.question import Reply
from marquee.studio.shows import JSON, OTHERWISE
from marquee.studio.upload import Upload

AT_ONCE = 4
SIDE = 240


@dataclass(frozen=True)
class Line:
    """What is shown of one file.

    Attributes:
        picture: small, as an address that holds all of it; empty where there is none.
        text: the answer in a few words.
        problem: why there is none; empty where there is.
    """

    name: str
    picture: str = ""
    text: str = "waits"
    problem: str = ""


def answers(
    uploads: Sequence[Upload], ask: Callable[[Upload], Reply], word: str | None
) -> Iterator[str]:
    """Ask about files, and yield HTML of all of them each time that one is answered."""
    lines = [Line(upload.name) for upload in uploads]
    yield _html(lines, 0)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = {pool.submit(ask, upload): index for index, upload in enumerate(uploads)}
        for done, future in enumerate(as_completed(asked), 1):
            index = asked[future]
            lines[index] = _line(uploads[index], future.result(), word)
            yield _html(lines, done)


def _html(lines: Sequence[Line], done: int) -> str:
    failed = sum(bool(line.problem) for line in lines)
    return html.render("several", files=lines, done=done, total=len(lines), failed=failed)


def _line(upload: Upload, reply: Reply, word: str | None) -> Line:
    picture = pictures.of_file(upload.path, upright=True)
    if reply.problem:
        return Line(upload.name, _small(picture), problem=reply.problem)
    if reply.content_type.startswith("image/"):
        picture = pictures.of_bytes(reply.body)
    return Line(upload.name, _small(picture), in_words(word, reply))


def _small(picture: Image.Image | None) -> str:
    return "" if picture is None else html.uri(pictures.limited(picture, SIDE))


def in_words(word: str | None, reply: Reply) -> str:
    """Return an answer in a few words."""
    try:
        if word == "classes" and reply.content_type == JSON:
            named = json.loads(reply.body)["probabilities"]
            label = max(named, key=named.__getitem__)
            return f"{label}, {100 * named[label]:.0f} %"
        if word == "detections" and reply.content_type == JSON:
            found = json.loads(reply.body)["detections"]
            counts = Counter(str(one.get("class", one.get("label"))) for one in found)
            return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"
    except OTHERWISE:
        return f"{html.size(len(reply.body))} of {reply.content_type}"
    return f"answered in {html.duration(reply.seconds)}"
