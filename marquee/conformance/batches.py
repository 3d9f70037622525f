"""Batches: each request is answered as if it were alone."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError

from marquee.archives.comparison import NPY, media_type
from marquee.archives.worker import Asked, Reply
from marquee.conformance.result import Skipped
from marquee.conformance.subject import Subject, error_problem, fail_if, good_problem, unlike
from marquee.conformance.subject import with_headers as headed

FLIPS = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180)
LARGEST = 4


def batch_against_single(subject: Subject) -> str:
    """Different requests in one batch get the answers that each gets alone, in their order."""
    _need_batches(subject)
    pairs = _different(subject)
    batch = [pairs[i % len(pairs)] for i in range(LARGEST)]
    replies = subject.worker.ask(*(asked for asked, _ in batch))
    expected = (alone for _, alone in batch)
    fail_if(
        {
            f"request {i} of {len(batch)}": unlike(alone, reply)
            for i, (alone, reply) in enumerate(zip(expected, replies, strict=True), 1)
        }
    )
    return f"{len(pairs)} different requests in a batch of {len(batch)}"


def bad_in_a_batch(subject: Subject) -> str:
    """A bad request in a batch gets its own error, and its neighbours their own answers."""
    _need_batches(subject)
    good = subject.asked()
    bad = Asked(good.headers, b"hello")
    alone, bad_alone = subject.answer, subject.one(bad)
    replies = subject.worker.ask(good, bad, good, bad)
    for name, reply in zip(("1 (good)", "3 (good)"), replies[::2], strict=True):
        fail_if({f"request {name}": unlike(alone, reply)})
    if subject.offer:
        statuses = (bad_alone.status,) if bad_alone.status >= 400 else (400, 415, 422)
        fail_if({f"request {i} (bad)": error_problem(replies[i - 1], statuses) for i in (2, 4)})
    return "2 bad requests among 4"


def _need_batches(subject: Subject) -> None:
    """Skip for a handler of somebody else's that TorchServe gives one request at a time."""
    size = subject.worker.config.get("batchSize", 1)
    if not subject.offer and size == 1:
        raise Skipped("its model-config.yaml has no batchSize above 1")


def _different(subject: Subject) -> list[tuple[Asked, Reply]]:
    """Return requests whose answers differ, each with its answer."""
    found: list[tuple[Asked, Reply]] = [(subject.asked(), subject.answer)]
    for asked in _variants(subject):
        reply = subject.one(asked)
        if good_problem(reply) is None and all(reply.body != other.body for _, other in found):
            found.append((asked, reply))
    if len(found) < 2:
        raise Skipped("all that can be sent has the same answer")
    return found[:LARGEST]


def _variants(subject: Subject) -> Iterator[Asked]:
    whole = subject.asked()
    yield from _flipped_arrays(whole)
    yield from _flipped_pictures(whole)
    for kind in subject.produces:
        yield headed(whole, Accept=kind)


def _flipped_pictures(whole: Asked) -> Iterator[Asked]:
    try:
        picture = Image.open(io.BytesIO(whole.body)).convert("RGB")
    except (UnidentifiedImageError, ValueError, OSError):
        return
    for flip in FLIPS:
        stream = io.BytesIO()
        picture.transpose(flip).save(stream, "PNG")
        yield Asked(headed(whole, Content_Type="image/png").headers, stream.getvalue())


def _flipped_arrays(whole: Asked) -> Iterator[Asked]:
    if media_type(whole.headers["Content-Type"]) != NPY:
        return
    array = np.load(io.BytesIO(whole.body), allow_pickle=False)
    for axis in (-1, -2)[: array.ndim]:
        stream = io.BytesIO()
        np.save(stream, np.ascontiguousarray(np.flip(array, axis)))
        yield Asked(whole.headers, stream.getvalue())
