"""From TorchServe's row and headers to a checked request."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from handlers.runtime import jsontext
from handlers.runtime.attributes import HEADER as ATTRIBUTES_HEADER
from handlers.runtime.attributes import parameter_items
from handlers.runtime.errors import BadRequest, TooLarge, UnsupportedMediaType
from handlers.runtime.media import FORM, JSON, MULTIPART, OCTETS, matches, media_type, negotiate
from handlers.runtime.parameters import Parameter, Values, parse_parameters
from handlers.runtime.payload import Payload, from_base64
from handlers.runtime.stopwatch import Stopwatch

# Names a payload may have, in multipart parts and JSON fields.
PAYLOAD_NAMES = ("image", "data", "file", "body")
# Query parameters that TorchServe reads itself and passes on all the same.
ROUTING_NAMES = ("model_name", "model_version")
PARAMETER_HEADER = "x-marquee-"

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
    """

    consumes: tuple[str, ...]
    produces: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    max_pixels: int = 64_000_000
    max_items: int = 64

    def extended(self, produces: tuple[str, ...], parameters: tuple[Parameter, ...]) -> Interface:
        """Return this with other answers and more parameters, which win over others by name."""
        named = {parameter.name: parameter for parameter in (*self.parameters, *parameters)}
        return replace(self, produces=produces, parameters=tuple(named.values()))

    def offer(self) -> dict[str, Any]:
        """Return what can be asked for, the parameters as a JSON Schema."""
        properties = {parameter.name: parameter.schema() for parameter in self.parameters}
        return {
            "produces": list(self.produces),
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
        deadline: an explanation must end by then, on the clock of ``time.monotonic``.
        notes: what ``preprocess`` leaves for ``postprocess``, such as the decoded picture.
    """

    payloads: tuple[Payload, ...]
    parameters: Values
    accept: str
    listed: bool = False
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
    payloads: list[Payload] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    listed: bool = False

    def add(self, data: bytes | list[Any], content_type: str) -> None:
        interface = self.interface
        if len(self.payloads) >= interface.max_items:
            raise TooLarge(f"at most {interface.max_items} inputs a request are taken, send fewer")
        known = content_type not in ("", OCTETS, JSON)
        if known and not any(matches(content_type, pattern) for pattern in interface.consumes):
            raise UnsupportedMediaType(_unreadable(content_type, interface))
        self.payloads.append(Payload(data, content_type, interface.max_pixels, self.watch))


def parse_request(row: Row, headers: Headers, interface: Interface, watch: Stopwatch) -> Request:
    """Read one row of ``handle()``'s data, with its request headers.

    Parameters are taken from SageMaker's custom attributes, ``X-Marquee-<Name>`` headers, the
    query (where TorchServe passes it on), and the body; each wins over those before it.

    Raises:
        RequestError: one of its kinds, with a message for the client.
    """
    named = {key.lower(): value for key, value in headers.items() if isinstance(value, str)}
    accept = negotiate(named.get("accept"), interface.produces)
    draft = _Draft(interface, watch, parameters=_header_parameters(named))
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
        parameters = parse_parameters(interface.parameters, draft.parameters)
    if not draft.payloads:
        raise BadRequest(f"the request holds no input; send {_choices(interface)}")
    return Request(tuple(draft.payloads), parameters, accept, draft.listed)


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
    for name in files:
        about = headers.get(name)
        sent = about.get("content-type") if isinstance(about, dict) else None
        kind = media_type(sent.decode() if isinstance(sent, bytes) else sent)
        # curl -F field=@file without a type, and plain fields, say nothing reliable.
        _read_body(draft, row[name], "" if kind.startswith("text/plain") else kind)
    draft.parameters |= _texts(row, besides=files)


def _read_body(draft: _Draft, body: Any, content_type: str) -> None:
    """Read a raw body or a part: a file's bytes, JSON text, or JSON that came parsed."""
    if isinstance(body, str):
        body = body.encode()
    is_bytes = isinstance(body, (bytes, bytearray))
    if not is_bytes or content_type == JSON or content_type.endswith("+json"):
        _read_json(draft, parse_json(bytes(body)) if is_bytes else body)
    elif body:
        draft.add(bytes(body), content_type)


def parse_json(body: bytes) -> Any:
    """Parse JSON strictly: UTF-8, no NaN, no infinities.

    Raises:
        BadRequest: says where the text stops being JSON.
    """
    if not body.strip():
        raise BadRequest("the JSON body is empty")
    try:
        return jsontext.loads(body, _refuse_constant)
    except RecursionError as error:
        raise BadRequest("the JSON body is nested too deeply") from error
    except ValueError as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from error


def _refuse_constant(name: str) -> None:
    raise BadRequest(f"the JSON body holds {name}, which is no JSON number; send finite numbers")


def _read_json(draft: _Draft, value: Any) -> None:
    if isinstance(value, dict):
        _read_object(draft, value)
    else:
        _add_json(draft, "body", value)


def _read_object(draft: _Draft, value: dict[str, Any]) -> None:
    """Read ``{"image": ..., <parameter>: ...}`` or ``{"instances": [...], "parameters": ...}``."""
    fields = dict(value)
    instances = fields.pop("instances", None)
    nested = fields.pop("parameters", {})
    if not isinstance(nested, dict):
        raise BadRequest("'parameters' must be a JSON object of names and values")
    for name in PAYLOAD_NAMES:
        if name in fields:
            _add_json(draft, name, fields.pop(name))
    if instances is not None:
        _read_instances(draft, instances)
    draft.parameters |= nested | fields


def _read_instances(draft: _Draft, instances: Any) -> None:
    if not isinstance(instances, list) or not instances:
        raise BadRequest("'instances' must be a list with at least one input")
    draft.listed = True
    for position, instance in enumerate(instances):
        name = f"instances[{position}]"
        _add_json(
            draft, name, _only_field(instance, name) if isinstance(instance, dict) else instance
        )


def _only_field(instance: dict[str, Any], name: str) -> Any:
    """Return the input of ``{"image": ...}``, or of ``{"b64": ...}`` as other servers have it."""
    allowed = (*PAYLOAD_NAMES, "b64")
    if len(instance) != 1 or next(iter(instance)) not in allowed:
        raise BadRequest(f"'{name}' must be an object with one field of {', '.join(allowed)}")
    value = next(iter(instance.values()))
    return value["b64"] if isinstance(value, dict) and set(value) == {"b64"} else value


def _add_json(draft: _Draft, name: str, value: Any) -> None:
    if isinstance(value, str):
        draft.add(*from_base64(value, name))
    elif isinstance(value, list):
        draft.add(value, JSON)
    else:
        raise BadRequest(
            f"'{name}' is {type(value).__name__}, expected base64 text or a nested list of numbers"
        )


def _unreadable(content_type: str, interface: Interface) -> str:
    return f"cannot read '{content_type[:100]}'; send {_choices(interface)}"


def _choices(interface: Interface) -> str:
    raw = ", ".join(interface.consumes)
    return f"{raw}, {JSON} with a base64 'image', or {MULTIPART} with a part 'image'"
