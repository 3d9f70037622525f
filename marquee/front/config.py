"""Write HAProxy's configuration, maps and key lists into the front's folder."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from marquee.errors import MarqueeError
from marquee.front import origins
from marquee.front.settings import FrontSettings

SOURCES = Path(__file__).parent
CONFIG = "haproxy.cfg"
STATE_MAP, CANARY_MAP, NAMES_MAP, KEYS_MAP = "state.map", "canary.map", "names.map", "keys.map"
# The entry of the state map that counts the turns of requests.
TURN = "turn"
# In multi-model mode: the models that are loaded, and a table of their requests in flight.
LOADED_MAP, IN_FLIGHT = "loaded.map", "in_flight"
# What was told is believed for so long: a process that is stuck or dead makes /ping unready.
BELIEVED_SECONDS = 15.0
STARTING = {"status": "Unhealthy", "message": "the models have not been asked yet"}
# What the door answers by itself: TorchServe's shape, and its names where it has one. What is
# not even HTTP gets HAProxy's own 400 (or 408), which no setting changes.
ERRORS = {
    400: ("BadRequestException", "this is no HTTP request that can be read"),
    408: ("RequestTimeoutException", "the request did not arrive in time; send it again, faster"),
    500: ("InternalServerException", "the front door failed; its log has the reason"),
    502: ("BadGatewayException", "the model server closed the connection; try again"),
    503: ("ServiceUnavailableException", "the model server does not take requests; try again"),
    504: ("GatewayTimeoutException", "the model did not answer in time; ask for less"),
}


def error(status: int, kind: str, message: str) -> str:
    """Return an error's JSON, as it may stand between single quotes of the configuration."""
    return json.dumps({"code": status, "type": kind, "message": message}).replace("'", "\\u0027")


def write(settings: FrontSettings, state: Mapping[str, str] | None = None) -> Path:
    """Write everything that HAProxy reads; return the configuration's path.

    Args:
        settings: what to write it from.
        state: the entries of the state map of a running door, which outlive a reload.

    Raises:
        MarqueeError: a key file is missing or unsafe.
    """
    folder = settings.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for script in ("query.lua", "form.lua"):
        (folder / script).write_text((SOURCES / script).read_text())
    write_map(folder / STATE_MAP, state or first_state())
    for name in (CANARY_MAP, NAMES_MAP, LOADED_MAP):
        (folder / name).touch(mode=0o600)
    _write_keys(settings)
    path = folder / CONFIG
    _write_private(path, _fill(CONFIG, _values(settings)))
    return path


def first_state() -> dict[str, str]:
    """Return the state map of a door that knows nothing yet."""
    # The keeper has as long for its first look as for any other one.
    until = str(int(time.time() + BELIEVED_SECONDS))
    return {"until": until, "ready": "0", "draining": "0", TURN: "0", "body": encoded(STARTING)}


def encoded(value: Mapping[str, object]) -> str:
    """Return JSON as base64: a map's values must not hold what its commands are cut at."""
    return base64.b64encode(json.dumps(value).encode()).decode()


def write_map(path: Path, entries: Mapping[str, str]) -> None:
    """Write a map file, whole or not at all."""
    _write_private(path, "".join(f"{key} {value}\n" for key, value in entries.items()))


def read_map(path: Path) -> dict[str, str]:
    """Return the entries of a map file; none where there is no file."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return {key: value for key, _, value in (line.partition(" ") for line in lines) if key}


def _write_private(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)


def _values(settings: FrontSettings) -> dict[str, str]:
    texts = {
        "inference_key": _key_check(settings, "inference"),
        "management_key": _key_check(settings, "management"),
        "inference_bind": _bind(settings.inference, settings),
        "management_bind": _bind(settings.management, settings) if settings.management else "",
        "request_id": REQUEST_ID,
        "sticky": _sticky(settings),
        "control": _control(settings),
        "errors": _errors(),
        "origins": _origins(settings),
    }
    numbers = ("connections", "max_request_size", "request_timeout", "client_timeout")
    plain = (*numbers, "keep_alive_timeout", "folder", "inference_socket", "management_socket")
    values = {name: str(getattr(settings, name)) for name in plain} | texts | _messages(settings)
    opened = settings.management is not None
    return values | {"management": _fill("management.cfg", values) if opened else ""}


def _fill(name: str, values: Mapping[str, str]) -> str:
    return Template((SOURCES / name).read_text()).substitute(values)


def _bind(address: str, settings: FrontSettings) -> str:
    parts = urlsplit(address)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    bind = f"{host}:{port}"
    if not secure:
        return bind
    return f'{bind} ssl crt "{settings.tls_certificate}" alpn h2,http/1.1 ssl-min-ver TLSv1.2'


# The client's id is taken over if it is a plain one. HAProxy's own answers have an id too.
REQUEST_ID = r"""  http-request set-var(txn.path) path
  http-request set-var(txn.client_id) req.hdr(x-request-id) if { req.hdr(x-request-id) -m reg ^[A-Za-z0-9._-]{1,128}$ }
  http-request set-var(txn.id) unique-id
  http-request set-var(txn.id) var(txn.client_id) if { var(txn.client_id) -m found }
  http-request set-header X-Request-Id %[var(txn.id)]
  http-after-response set-header X-Request-Id %[var(txn.id)] if { var(txn.client_id) -m found } || !{ res.hdr(x-request-id) -m found }"""  # noqa: E501


def _key_check(settings: FrontSettings, kind: str) -> str:
    """Return the lines that let only requests with a key in: its digest is in a list."""
    if settings.key_file is None:
        return ""
    shown = f"%[str(inference),map({settings.folder}/{KEYS_MAP})]"
    if settings.open_to_all:
        return f"  http-request set-header Authorization {shown}"
    message = error(
        400,
        "InvalidKeyException",
        f"Token Authorization failed. Token either incorrect, expired, or not provided: send "
        f"'Authorization: Bearer <{kind} token>'; marquee token prints it",
    )
    digest = "req.hdr(authorization),sha2(256),hex"
    lines = [f"  acl key {digest} -m str -f {settings.folder}/{kind}.keys"]
    if kind == "inference" and settings.api_key_file is not None:
        lines += [
            f"  acl api_key {digest} -m str -f {settings.folder}/api.keys",
            f"  http-request set-header Authorization {shown} if api_key",
        ]
    refuse = f"  http-request return status 400 content-type application/json string '{message}'"
    return "\n".join([*lines, f"{refuse} unless key"])


def _write_keys(settings: FrontSettings) -> None:
    """Write what keys are compared with: digests, and the key that an API key stands for."""
    if settings.key_file is None:
        return
    try:
        found = json.loads(settings.key_file.read_text())
        keys = {kind: f"Bearer {found[kind]['key']}" for kind in ("inference", "management")}
    except (OSError, ValueError, KeyError, TypeError) as failed:
        raise MarqueeError(
            f"{settings.key_file} has no keys ({failed}); restart the server"
        ) from failed
    for kind, header in keys.items():
        _write_private(settings.folder / f"{kind}.keys", _digest(header) + "\n")
    api_key = settings.api_key()
    if api_key is not None:
        _write_private(settings.folder / "api.keys", _digest(f"Bearer {api_key}") + "\n")
    if api_key is not None or settings.open_to_all:
        write_map(settings.folder / KEYS_MAP, {"inference": keys["inference"]})


def _digest(header: str) -> str:
    return hashlib.sha256(header.encode()).hexdigest().upper()  # as HAProxy prints it


def _control(settings: FrontSettings) -> str:
    """Return the lines for models that come and go: who answers for them, and who is in flight.

    A model that is not in the map of loaded ones is not asked any more.
    """
    if settings.models_socket is None:
        return ""
    absent = error(404, "ModelNotFoundException", "the model of this path is not loaded")
    return f"""  acl asks var(txn.model) -m found
  acl loaded var(txn.model),map_str({settings.folder}/{LOADED_MAP}) -m found
  http-request return status 404 content-type application/json string '{absent}' if asks !loaded
  http-request track-sc1 var(txn.model) table {IN_FLIGHT} if asks
  use_backend control if {{ path_reg ^/models(/[^/]+)?/?$ }}

backend {IN_FLIGHT}
  stick-table type string len 257 size 10k expire 1d store conn_cur

backend control
  server control unix@{settings.models_socket}"""


def _origins(settings: FrontSettings) -> str:
    told = error(
        403,
        "ForbiddenException",
        "pages of this origin may not ask here; allowed_origins in config/front.yaml "
        "(TS_CORS_ALLOWED_ORIGIN in the container) names those that may",
    )
    found = origins.values(settings.allowed_origins, settings.folder)
    return _fill("origins.cfg", found | {"no_origin": told})


def _sticky(settings: FrontSettings) -> str:
    if settings.sticky_header is None:
        return ""
    header = f"req.hdr({settings.sticky_header})"
    return (
        f"  http-request set-var(txn.place) {header},xxh32(0),mod(10000) if has_canary "
        f"{{ {header} -m len ge 1 }}"
    )


def _errors() -> str:
    line = "  http-error status {} content-type application/json string '{}'"
    lines = [line.format(code, error(code, *about)) for code, about in ERRORS.items()]
    return "\n".join(text + (" hdr Retry-After 2" if " 503 " in text else "") for text in lines)


def _messages(settings: FrontSettings) -> dict[str, str]:
    limit = settings.max_request_size
    draining = {"status": "Draining", "message": "the server is about to stop"}
    stale = {"status": "Unhealthy", "message": "nobody asks the models any more; restart marquee"}
    return {
        "draining_ping": json.dumps(draining),
        "stale_ping": json.dumps(stale),
        "draining": error(
            503, "ServiceUnavailableException", "the server is about to stop; ask another one"
        ),
        "too_large": error(
            413,
            "RequestEntityTooLargeException",
            f"the request is larger than {limit} bytes; send a smaller one, or raise "
            "max_request_size in config.properties (TS_MAX_REQUEST_SIZE)",
        ),
        "odd_name": error(
            404,
            "ModelNotFoundException",
            "there is no such model: names and versions are of letters, digits and _ - . only",
        ),
        "web_form": error(
            415,
            "UnsupportedMediaTypeException",
            "the body is said to be a web form, which it is not: curl says so of --data-binary "
            "unless told otherwise; send a file with -T FILE, or add its type: "
            "-H Content-Type:image/jpeg",
        ),
        "no_renewal": error(
            400, "BadRequestException", "tokens behind the front door are not renewed: they last"
        ),
        "no_model_named": error(
            400,
            "BadRequestException",
            "/invocations does not say which model, and there is no default: add "
            "?model=NAME, or the header X-Amzn-SageMaker-Custom-Attributes: model=NAME, or set "
            "default_model (SAGEMAKER_DEFAULT_MODEL in the container); the models are: "
            f"%[str(listed),map({settings.folder}/{NAMES_MAP},none)]",
        ),
    }
