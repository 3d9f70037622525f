"""What a request carries, as TorchServe hands it to a worker."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from email.message import Message
from urllib.parse import parse_qsl

from marquee.archives.worker import Part, WorkerRequest
from marquee.ray.refusal import Refused, like_front

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
# With what ends the form.
MAX_PARTS = 1001
# What a form may hold; anything else is said to be one and is none.
_FORM_TEXT = re.compile(rb"(?:[\t\n\r -$&-~]|%[0-9A-Fa-f]{2})*")


def request_of(headers: Mapping[str, str], body: bytes, request_id: str) -> WorkerRequest:
    """Return a request as its worker gets it.

    Args:
        headers: by their names in small letters.

    Raises:
        Refused: it is said to be a form, and is none.
    """
    kind = headers.get("content-type", "")
    plain = kind.partition(";")[0].strip().lower()
    if plain == MULTIPART:
        # Of two parts with one name TorchServe hands on the last.
        parts = {part[0]: part for part in _parts(kind, body)}
        return WorkerRequest(headers, None, tuple(parts.values()), request_id)
    if plain == FORM:
        return WorkerRequest(headers, None, tuple(_fields(body)), request_id)
    return WorkerRequest(headers, body, (), request_id)


def _fields(body: bytes) -> Iterator[Part]:
    if not _FORM_TEXT.fullmatch(body):
        raise like_front("no_form")
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    for name, value in fields.items():
        yield name, "", value.encode()


def _parts(kind: str, body: bytes) -> Iterator[Part]:
    """Yield the parts of a multipart body; what is before the first and after the last is none."""
    declared = Message()
    declared["content-type"] = kind
    boundary = declared.get_boundary("").encode()
    _, *pieces = (b"\r\n" + body).split(b"\r\n--" + boundary) if boundary else [b""]
    if not pieces or not pieces[-1].startswith(b"--"):
        raise Refused(
            400,
            "BadRequestException",
            "the multipart body does not end with the boundary that its Content-Type names; send "
            "all of it, with --BOUNDARY before each part and --BOUNDARY-- after the last",
        )
    if len(pieces) > MAX_PARTS:
        raise Refused(
            413,
            "RequestEntityTooLargeException",
            f"the form has {len(pieces) - 1} parts, at most {MAX_PARTS - 1} are read; send fewer",
        )
    for piece in pieces[:-1]:
        head, _, value = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        part = Message()
        for line in head.decode("utf-8", "replace").split("\r\n"):
            name, _, text = line.partition(":")
            part[name.strip()] = text.strip()
        field = part.get_param("name", header="content-disposition")
        if field is not None:
            yield str(field), part.get("content-type", ""), value
