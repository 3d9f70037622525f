"""From TorchServe's row and headers to a checked request."""

from __future__ import annotations

import math
import re
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from handlers.runtime import kserve
from handlers.runtime.answers import Schema
from handlers.runtime.attributes import HEADER as ATTRIBUTES_HEADER
from handlers.runtime.attributes import parameter_items
from handlers.runtime.errors import BadRequest, TooLarge, UnsupportedMediaType
from handlers.runtime.jsonbody import LIST_NAMES, PAYLOAD_NAMES, JsonBody, NotJson, parse_json
from handlers.runtime.looks import is_image
from handlers.runtime.media import (
    FORM,
    JSON,
    MULTIPART,
    PLAIN,
    UNDECLARED,
    matches,
    media_type,
    negotiate,
)
from handlers.runtime.parameters import Parameter, Values, parse_parameters
from handlers.runtime.payload import Payload, Purse, from_text
from handlers.runtime.stopwatch import Stopwatch

# Query parameters that TorchServe reads itself and passes on all the same.
ROUTING_NAMES = ("model_name", "model_version")
PARAMETER_HEADER = "x-marquee-"
# As many pictures of max_pixels may be decoded for one request; a damaged one is read three times.
PICTURES_PER_REQUEST = 16
# What a part of a multipart body takes beside its name, its data and the boundary: dispositions,
# types, a file name of 255 letters in two encodings.
PART_OVERHEAD = 1024
LENGTH = re.compile(r"[0-9]{1,18}")

Row = Mapping[str, Any]
Headers = Mapping[str, Any]


@dataclass(frozen=True)
class Interface:
    """What a model declares of its requests and answers, with the limits it runs under.

    Attributes:
        consumes: media types (wildcards allowed) of a raw body or a part.
        produces: media types of an answer, the default first.
        parameters: the parameters it knows.
        max_pixels: pixels an image may have.
        max_items: inputs one request may hold.
        answers: the JSON Schema of its answers in JSON, where it says so.
    """

    consumes: tuple[str, ...]
    produces: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    max_pixels: int = 64_000_000
    max_items: int = 64
    answers: Schema | None = None

    def extended(
        self,
        produces: tuple[str, ...],
        parameters: tuple[Parameter, ...],
        answers: Schema | None = None,
    ) -> Interface:
        """Return this with other answers and more parameters, which win over others by name."""
        named = {parameter.name: parameter for parameter in (*self.parameters, *parameters)}
        merged = tuple(named.values())
        return replace(self, produces=produces, parameters=merged, answers=answers)

    def offer(self) -> dict[str, Any]:
        """Return what can be asked for, the parameters as a JSON Schema."""
        properties = {parameter.name: parameter.schema() for parameter in self.parameters}
        return {
            "produces": list(self.produces),
            "answers": self.answers,
            "parameters": {"type": "object", "properties": properties},
        }


@dataclass(frozen=True)
class Request:
    """One HTTP request, checked.

    Attributes:
        payloads: at least one input, as sent.
        parameters: a value for every declared parameter.
        accept: the media type to answer in.
        listed: the inputs came as a list (``instances``), so the answer is one as well.
        wanted: how KServe's clients want it answered.
        deadline: an explanation must end by then, on the clock of ``time.monotonic``.
        notes: what ``preprocess`` leaves for ``postprocess``, such as the decoded picture.
    """

    payloads: tuple[Payload, ...]
    parameters: Values
    accept: str
    listed: bool = False
    wanted: kserve.Wanted = kserve.OWN_FORM
    deadline: float = math.inf
    notes: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def payload(self) -> Payload:
        """The only input.

        Raises:
            BadRequest: there are several, and this model takes one a request.
        """
        if len(self.payloads) != 1:
            raise BadRequest(f"one input a request is expected, {len(self.payloads)} were sent")
        return self.payloads[0]


@dataclass
class _Draft:
    """A request while it is read: inputs and parameters found so far."""

    interface: Interface
    watch: Stopwatch
    purse: Purse
    payloads: list[Payload] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    listed: bool = False
    tensor_request: dict[str, Any] = field(default_factory=dict)

    def add(self, data: bytes | list[Any], content_type: str) -> None:
        interface = self.interface
        if len(self.payloads) >= interface.max_items:
            raise TooLarge(f"at most {interface.max_items} inputs a request are taken, send fewer")
        known = content_type not in UNDECLARED and content_type != JSON
        if known and not any(matches(content_type, pattern) for pattern in interface.consumes):
            raise UnsupportedMediaType(_unreadable(content_type, interface))
        limit = interface.max_pixels
        self.payloads.append(Payload(data, content_type, limit, self.watch, self.purse))


def parse_request(row: Row, headers: Headers, interface: Interface, watch: Stopwatch) -> Request:
    """Read one row of ``handle()``'s data, with its request headers.

    Parameters are taken from SageMaker's custom attributes, ``X-Marquee-<Name>`` headers, the
    query (where TorchServe passes it on), and the body; each wins over those before it.

    Raises:
        RequestError: one of its kinds, with a message for the client.
    """
    named = {key.lower(): value for key, value in headers.items() if isinstance(value, str)}
    protocol = kserve.protocol_of(named)
    accept = negotiate(named.get("accept"), interface.produces)
    purse = Purse(PICTURES_PER_REQUEST * interface.max_pixels)
    draft = _Draft(interface, watch, purse, parameters=_header_parameters(named))
    content_type = media_type(named.get("content-type"))
    with watch.stage("decode"):
        if named.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType(
                f"the body is encoded ({named['content-encoding'][:40]}), which the server does "
                "not undo; send it without Content-Encoding"
            )
        # gRPC has named inputs as well, but no types.
        if content_type == MULTIPART or (not content_type and "body" not in row):
            _read_parts(draft, row, headers)
        elif content_type == FORM:
            raise UnsupportedMediaType(
                "the body was sent as a web form; with curl use -T FILE, or --data-binary @FILE "
                "with -H 'Content-Type: ...'"
            )
        else:
            draft.parameters |= _texts(row, besides=("body",))
            _read_body(draft, row.get("body", b""), content_type)
        _check_names(interface, draft)
        parameters = parse_parameters(interface.parameters, draft.parameters)
    if not draft.payloads:
        raise BadRequest(f"the request holds no input; send {_choices(interface)}")
    wanted = kserve.wanted(protocol, draft.tensor_request)
    return Request(tuple(draft.payloads), parameters, accept, draft.listed, wanted)


def _check_names(interface: Interface, draft: _Draft) -> None:
    """Refuse fields that nobody knows, where there is no input: one of them was meant as such."""
    known = {parameter.name for parameter in interface.parameters}
    unknown = [str(name)[:60] for name in draft.parameters if name not in known]
    if unknown and not draft.payloads:
        raise BadRequest(
            f"the request holds no input, and the unknown field '{unknown[0]}'; an input is named "
            f"{', '.join(PAYLOAD_NAMES)}, several {' or '.join(LIST_NAMES)}; parameters are "
            f"{', '.join(sorted(known)) or 'none'}"
        )


def _header_parameters(named: Mapping[str, str]) -> dict[str, Any]:
    items = parameter_items(named.get(ATTRIBUTES_HEADER, ""), PARAMETER_HEADER)
    return {
        key.removeprefix(PARAMETER_HEADER).replace("-", "_"): value
        for key, value in (items | dict(named)).items()
        if key.startswith(PARAMETER_HEADER)
    }


def _texts(row: Row, besides: Sequence[str]) -> dict[str, Any]:
    """Return the row's small entries (query parameters, form fields) as text."""
    skipped = (*besides, *ROUTING_NAMES)
    return {key: _text(key, value) for key, value in row.items() if key not in skipped}


def _text(name: str, value: Any) -> Any:
    if not isinstance(value, (bytes, bytearray)):
        return value
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"'{name[:60]}' is not text; an input file goes into a part named "
            f"{' or '.join(PAYLOAD_NAMES)}"
        ) from error


def _read_parts(draft: _Draft, row: Row, headers: Headers) -> None:
    """Read a multipart body, which TorchServe has already split into one entry a part."""
    files = [name for name in PAYLOAD_NAMES if name in row]
    _check_complete(row, headers)
    for name in files:
        about = headers.get(name)
        sent = about.get("content-type") if isinstance(about, dict) else None
        kind = media_type(sent.decode() if isinstance(sent, bytes) else sent)
        # curl -F field=@file without a type, and plain fields, say nothing reliable.
        _read_body(draft, row[name], "" if kind.startswith("text/plain") else kind)
    draft.parameters |= _texts(row, besides=files)


def _check_complete(row: Row, headers: Headers) -> None:
    """Refuse a form of which parts are missing: of those with one name TorchServe keeps the last.

    Only the length of the whole body tells; parts that came parsed have no length any more.
    """
    lengths = {key.lower(): value for key, value in headers.items() if isinstance(value, str)}
    stated = lengths.get("content-length", "")
    texts = [part for part in row.values() if isinstance(part, (bytes, bytearray))]
    if not LENGTH.fullmatch(stated) or len(texts) != len(row):
        return
    missing = int(stated) - sum(map(len, texts)) - PART_OVERHEAD * len(row)
    if missing > 0:
        raise BadRequest(
            f"the form has {stated} bytes, its parts {', '.join(row)} only {sum(map(len, texts))}: "
            "of several parts with one name the server sees the last alone; send one input a "
            "form, or several as JSON 'instances'"
        )


def _read_body(draft: _Draft, body: Any, content_type: str) -> None:
    """Read a raw body or a part: a file's bytes, JSON text, or JSON that came parsed."""
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, (bytes, bytearray)):
        _read_json(draft, body)
    elif content_type == JSON or content_type.endswith("+json"):
        _read_json(draft, parse_json(body))
    elif body and (content_type in UNDECLARED or content_type == PLAIN):
        _read_untold(draft, bytes(body), content_type)
    elif body:
        draft.add(bytes(body), content_type)


def _read_untold(draft: _Draft, body: bytes, content_type: str) -> None:
    """Read bytes of which nobody says what they are: JSON, base64 and data: URLs as well.

    Whatever is none of these for certain stays as it is: planes of pixels may begin like text.
    """
    start = body[:64].removeprefix(BOM_UTF8).lstrip()[:1]
    if start in (b"{", b"[", b'"'):
        try:
            _read_json(draft, parse_json(body))
        except NotJson:
            draft.add(body, content_type)
    elif decoded := from_text(body):
        draft.add(*decoded)
    else:
        # Scripts and forms call files text; other text no model reads.
        draft.add(body, "" if is_image(body) else content_type)


def _read_json(draft: _Draft, value: Any) -> None:
    body = JsonBody(draft.add)
    body.read(value)
    draft.parameters |= body.parameters
    draft.listed |= body.listed
    draft.tensor_request |= body.tensor_request


def _unreadable(content_type: str, interface: Interface) -> str:
    return f"cannot read '{content_type[:100]}'; send {_choices(interface)}"


def _choices(interface: Interface) -> str:
    raw = ", ".join(interface.consumes)
    return f"{raw}, {JSON} with a base64 'image', or {MULTIPART} with a part 'image'"
