"""Bad requests: each gets a status of its own, in one JSON shape, and hurts nobody."""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from marquee.archives.comparison import NPY
from marquee.archives.worker import WorkerRequest
from marquee.conformance.subject import (
    CheckSkipped,
    Subject,
    error_problem,
    fail_if,
    harm,
    unlike,
)
from marquee.media import JSON, media_type

# Well-formed, but perhaps nothing that this model reads.
UNUSABLE = (400, 413, 415, 422)
UNREADABLE = (400, 415, 422)
DEFAULT_MAX_PIXELS = 64_000_000

Statuses = tuple[int, ...]
Case = tuple[WorkerRequest, Statuses]


def bodies(subject: Subject) -> str:
    """Bodies that are empty, cut off or nonsense."""
    whole = subject.request().body
    cases = {
        "empty": (subject.request(b""), (400,)),
        "nonsense": (subject.request(b"hello"), UNREADABLE),
        "cut off": (subject.request(whole[: len(whole) // 2]), (400, 422)),
    }
    return _run(subject, cases)


def json_bodies(subject: Subject) -> str:
    """JSON that is broken, not JSON after all, or of the wrong shape."""
    texts: dict[str, tuple[bytes, Statuses]] = {
        "empty JSON": (b"", (400,)),
        "broken JSON": (b'{"image', (400,)),
        "a number": (b"7", (400,)),
        "NaN": (b"[NaN]", (400,)),
        "deep JSON": (b"[" * 100_000, (400,)),
        "no base64": (b'{"image": "!!!"}', (400,)),
        "no instances": (b'{"instances": []}', (400,)),
        "ragged lists": (b"[[1, 2], [3]]", UNUSABLE),
        "lists of text": (b'[["a"]]', UNUSABLE),
    }
    return _run(subject, _typed(subject, JSON, texts))


def arrays(subject: Subject) -> str:
    """Arrays of the wrong shape or kind, and files that lie about what they hold."""
    files = {
        "wrong shape": np.zeros((1,) * 9, np.float32),
        "empty array": np.zeros((0, 3), np.float32),
        "NaN array": _with_nan(subject),
        "complex array": np.zeros((8, 8), complex),
        "text array": np.array([["a"]]),
        "pickled array": np.array([os.getcwd], dtype=object),
    }
    bodies = {name: _npy(array) for name, array in files.items()}
    bodies |= {"lying header": _lying(), "npz": _npz()}
    return _run(subject, _typed(subject, NPY, {n: (b, UNUSABLE) for n, b in bodies.items()}))


def pictures(subject: Subject) -> str:
    """Pictures of no size, of far too many pixels, or without a way to RGB."""
    limit = subject.offer.get("limits", {}).get("max_pixels") or DEFAULT_MAX_PIXELS
    side = math.isqrt(limit) + 1
    files = {
        "0 x 0 pixels": (_png(0, 0), UNREADABLE),
        "too many pixels": (_png(side, side), (413, 415)),
    }
    floats = {"floating-point pixels": (_float_tiff(), UNREADABLE)}
    cases = _typed(subject, "image/png", files) | _typed(subject, "image/tiff", floats)
    return _run(subject, cases)


def _typed(
    subject: Subject, kind: str, bodies: Mapping[str, tuple[bytes, Statuses]]
) -> dict[str, Case]:
    """Return requests with bodies of one content type, and the statuses they may get."""
    return {
        name: (subject.request(body, Content_Type=kind), statuses)
        for name, (body, statuses) in bodies.items()
    }


def media_types(subject: Subject) -> str:
    """Types and encodings of a body that the handler does not read."""
    form = subject.request(Content_Type="multipart/form-data; boundary=x").headers
    pdf = WorkerRequest(form, parts=(("image", "application/pdf", b"%PDF"),))
    cases = {
        "text/csv": (subject.request(b"1,2", Content_Type="text/csv"), (415,)),
        "a PDF in a form": (pdf, (415,)),
        "compressed": (subject.request(Content_Encoding="gzip"), (415,)),
    }
    return _run(subject, cases)


def parameters(subject: Subject) -> str:
    """Parameters that are unknown, ill-typed or out of range."""
    if not subject.offer:
        raise CheckSkipped("its description names no parameters")
    cases = {"unknown parameter": (subject.request(X_Marquee_No_Such="1"), (400,))}
    for name, schema in subject.parameters.items():
        header = "X_Marquee_" + name.title()
        for kind, value in _wrong_values(schema).items():
            cases[f"{name} {kind}"] = (subject.request(**{header: value}), (400,))
    return _run(subject, cases)


def _wrong_values(schema: dict[str, Any]) -> dict[str, str]:
    one = schema.get("items", schema)
    wrong = {} if one.get("type") == "string" and "enum" not in one else {"ill-typed": "no-such"}
    if "maximum" in one:
        wrong["too large"] = str(int(one["maximum"]) + 1)
    if "minimum" in one:
        wrong["too small"] = str(int(one["minimum"]) - 1)
    return wrong


def _run(subject: Subject, cases: Mapping[str, Case]) -> str:
    """Send each case alone, and the example at the end."""
    before = subject.answer
    fail_if({name: _problem(subject, *case) for name, case in cases.items()})
    fail_if({"the example afterwards": unlike(before, subject.ask(subject.request()))})
    return f"{len(cases)} cases"


def _problem(subject: Subject, request: WorkerRequest, statuses: Statuses) -> str | None:
    reply = subject.ask(request)
    # Where nothing says what a handler reads, it may even be pleased.
    return error_problem(reply, statuses) if subject.offer else harm(reply)


def _npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _with_nan(subject: Subject) -> Any:
    """Return the example with a NaN in it, where it is an array, else any array with one."""
    array = np.zeros((8, 8, 3))
    example = subject.request()
    if media_type(example.headers["Content-Type"]) == NPY:
        array = np.load(io.BytesIO(example.body), allow_pickle=False).astype(np.float64)
    array.flat[0] = np.nan
    return array


def _lying() -> bytes:
    """An .npy of ten bytes whose header promises a terabyte."""
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (1_000_000, 1_000_000)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + b"x" * 10


def _npz() -> bytes:
    """A small zip of a hundred megabytes of nothing."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("arr_0.npy", bytes(100 << 20))
    return stream.getvalue()


def _png(width: int, height: int) -> bytes:
    """A gray PNG that promises so many pixels and has hardly any."""
    stream = io.BytesIO()
    stream.write(b"\x89PNG\r\n\x1a\n")
    size = struct.pack(">2L5B", width, height, 1, 0, 0, 0, 0)
    for kind, data in ((b"IHDR", size), (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b"")):
        PngImagePlugin.putchunk(stream, kind, data)
    return stream.getvalue()


def _float_tiff() -> bytes:
    stream = io.BytesIO()
    Image.new("F", (64, 64)).save(stream, "TIFF")
    return stream.getvalue()
