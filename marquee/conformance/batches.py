"""Batches: each request is answered as if it were alone."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError

from marquee.archives.comparison import NPY
from marquee.archives.worker import WorkerReply, WorkerRequest
from marquee.conformance.subject import (
    CheckSkipped,
    Subject,
    error_problem,
    fail_if,
    good_problem,
    unlike,
)
from marquee.media import media_type

FLIPS = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180)
LARGEST = 4


def batch_against_single(subject: Subject) -> str:
    """Different requests in one batch get the answers that each gets alone, in their order."""
    _need_batches(subject)
    pairs = _different(subject)
    batch = [pairs[i % len(pairs)] for i in range(LARGEST)]
    replies = subject.worker.ask(*(request for request, _ in batch))
    fail_if(
        {
            f"request {i} of {len(batch)}": unlike(alone, reply)
            for i, ((_, alone), reply) in enumerate(zip(batch, replies, strict=True), 1)
        }
    )
    return f"{len(pairs)} different requests in a batch of {len(batch)}"


def bad_in_a_batch(subject: Subject) -> str:
    """A bad request in a batch gets its own error, and its neighbours their own answers."""
    _need_batches(subject)
    good, bad = subject.request(), subject.request(b"hello")
    alone, bad_alone = subject.answer, subject.ask(bad)
    replies = subject.worker.ask(good, bad, good, bad)
    fail_if({f"request {i} (good)": unlike(alone, replies[i - 1]) for i in (1, 3)})
    if subject.offer:
        statuses = (bad_alone.status,) if bad_alone.status >= 400 else (400, 415, 422)
        fail_if({f"request {i} (bad)": error_problem(replies[i - 1], statuses) for i in (2, 4)})
    return "2 bad requests among 4"


def _need_batches(subject: Subject) -> None:
    """Skip for a handler of somebody else's that TorchServe gives one request at a time."""
    size = subject.worker.config.get("batchSize", 1)
    if not subject.offer and size == 1:
        raise CheckSkipped("its model-config.yaml has no batchSize above 1")


def _different(subject: Subject) -> list[tuple[WorkerRequest, WorkerReply]]:
    """Return requests whose answers differ, each with its answer."""
    pairs = [(subject.request(), subject.answer)]
    for request in _variants(subject):
        reply = subject.ask(request)
        if good_problem(reply) is None and all(reply.body != other.body for _, other in pairs):
            pairs.append((request, reply))
    if len(pairs) < 2:
        raise CheckSkipped("all that can be sent has the same answer")
    return pairs[:LARGEST]


def _variants(subject: Subject) -> Iterator[WorkerRequest]:
    whole = subject.request()
    if media_type(whole.headers["Content-Type"]) == NPY:
        for file in _flipped_arrays(whole.body):
            yield subject.request(file)
    for file in _flipped_pictures(whole.body):
        yield subject.request(file, Content_Type="image/png")
    for kind in subject.produces:
        yield subject.request(Accept=kind)


def _flipped_pictures(body: bytes) -> Iterator[bytes]:
    try:
        picture = Image.open(io.BytesIO(body)).convert("RGB")
    except (UnidentifiedImageError, ValueError, OSError):
        return
    for flip in FLIPS:
        stream = io.BytesIO()
        picture.transpose(flip).save(stream, "PNG")
        yield stream.getvalue()


def _flipped_arrays(body: bytes) -> Iterator[bytes]:
    array = np.load(io.BytesIO(body), allow_pickle=False)
    for axis in (-1, -2)[: array.ndim]:
        stream = io.BytesIO()
        np.save(stream, np.ascontiguousarray(np.flip(array, axis)))
        yield stream.getvalue()
