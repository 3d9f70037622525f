"""The management address of a server on Ray: TorchServe's API, as far as the commands need it.

So commands, curl lines and whatever else asks TorchServe work here unchanged. What TorchServe's
front door is told by HAProxy's sockets has addresses of its own (``/canaries``, ``/readiness``);
see :mod:`marquee.front.rayserver`. Archives are registered by their file's name in the model store.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from marquee.errors import MarqueeError
from marquee.front.refusals import NO_KEY
from marquee.ray import keys
from marquee.ray.description import describe
from marquee.ray.keeper import Keeper
from marquee.ray.registry import Refused, Registry
from marquee.ray.spec import VersionSpec

KINDS = {
    400: "BadRequestException",
    403: "InvalidModelVersionException",
    404: "ModelNotFoundException",
    405: "MethodNotAllowedException",
    409: "ConflictStatusException",
    503: "ServiceUnavailableException",
}
STOP_SECONDS = 1


@dataclass(frozen=True)
class Api:
    """What is answered; each method runs in a thread of its own.

    Attributes:
        model_api: whether archives may be registered and unregistered: ``enable_model_api``.
    """

    registry: Registry
    keeper: Keeper
    model_api: bool

    def models(self, _: Request) -> Response:
        """List the models, all of them."""
        found = self.registry.models().items()
        listed = [{"modelName": name, "modelUrl": archive} for name, archive in found]
        return JSONResponse({"models": listed})

    def describe(self, request: Request) -> Response:
        """Describe a model's default version, one that is named, or ``all``."""
        name, wanted = request.path_params["name"], request.path_params.get("version")
        _check_parameters(request, ())
        states = self.registry.states(name)
        if wanted != "all":
            own = self.registry.spec(name, wanted or self.registry.route(name).default)
            states = [one for one in states if one.spec.version == own.version]
        return JSONResponse([describe(self.registry, one) for one in states])

    def register(self, request: Request) -> Response:
        """Add an archive of the model store."""
        self._check_model_api()
        query = _check_parameters(request, ("url", "model_name", "synchronous"))
        spec = self.registry.register(query.get("url", ""), query.get("model_name", ""))
        if query.get("synchronous", "true") == "true":
            self._await_new(spec)
        return _status(f"{spec.name} {spec.version} is registered, its workers load", 202)

    def _await_new(self, spec: VersionSpec) -> None:
        try:
            self.registry.wait_loaded(spec.name, spec.version, spec.startup_timeout)
        except Refused:
            self.registry.unregister(spec.name, spec.version)
            raise

    def unregister(self, request: Request) -> Response:
        """Remove a version; its workers answer what they hold."""
        self._check_model_api()
        name = request.path_params["name"]
        gone = self.registry.unregister(name, request.path_params.get("version"))
        return _status(f"{name} {gone} is unregistered")

    def scale(self, request: Request) -> Response:
        """Set how many workers a version has."""
        query = _check_parameters(request, ("min_worker", "max_worker", "synchronous"))
        least = _whole(query.get("min_worker", "1"), "min_worker")
        most = _whole(query.get("max_worker", str(least)), "max_worker")
        if most < least:
            raise Refused(400, f"max_worker is {most}, expected at least min_worker, {least}")
        name = request.path_params["name"]
        own = self.registry.scale(name, request.path_params.get("version"), least, most)
        if query.get("synchronous", "false") == "true" and least:
            spec = self.registry.spec(name, own)
            self.registry.wait_loaded(name, own, spec.startup_timeout)
        return _status(f"{name} {own} is to have {least} to {most} workers", 202)

    def set_default(self, request: Request) -> Response:
        """Make a version the default."""
        name, version = request.path_params["name"], request.path_params["version"]
        self.registry.set_default(name, version)
        return _status(f"{version} is the default version of {name}")

    def split(self, request: Request) -> Response:
        """Give a canary its share."""
        query = _check_parameters(request, ("version", "share"))
        try:
            share = float(query.get("share", ""))
        except ValueError as error:
            raise Refused(400, f"share is {query.get('share')!r}, expected 0 to 1") from error
        name = request.path_params["name"]
        self.registry.set_share(name, (query.get("version", ""), share))
        return _status(f"{query.get('version')} gets {share:.2%} of the requests to {name}")

    def unsplit(self, request: Request) -> Response:
        """End a canary's share."""
        self.registry.set_share(request.path_params["name"], None)
        return _status("the default version gets all requests")

    def readiness(self, _: Request) -> Response:
        """Tell how the models are, as ``/ping`` of a front door does."""
        if self.keeper.body is None:
            said = self.keeper.problem or "the models have not been asked yet; try again"
            raise Refused(503, said)
        return JSONResponse(self.keeper.body)

    def _check_model_api(self) -> None:
        if not self.model_api:
            raise Refused(405, "enable_model_api=false in config.properties forbids it")


def _check_parameters(request: Request, known: Collection[str]) -> dict[str, str]:
    """Return the query; refuse what TorchServe would heed and this does not."""
    query = dict(request.query_params)
    strange = sorted(query.keys() - {*known})
    if strange:
        raise Refused(
            400,
            f"the parameter {strange[0]!r} has no meaning here, expected "
            f"{', '.join(known) or 'none'}; an archive's model-config.yaml sets its batches and "
            "times",
        )
    return query


def _whole(text: str, name: str) -> int:
    if not text.isdecimal():
        raise Refused(400, f"{name} is {text!r}, expected a whole number of workers")
    return int(text)


def _status(text: str, code: int = 200) -> Response:
    return JSONResponse({"status": text}, code)


def _failed(status: int, message: str, kind: str = "") -> Response:
    """Return an error in TorchServe's shape."""
    kind = kind or KINDS.get(status, "InternalServerException")
    return JSONResponse({"code": status, "type": kind, "message": message}, status)


def _refused(_: Request, error: Exception) -> Response:
    """Answer with what was raised."""
    if isinstance(error, HTTPException):
        return _failed(error.status_code, f"{error.detail}: see docs/ray.md for what there is")
    return _failed(error.status if isinstance(error, Refused) else 500, str(error))


class Guard:
    """Lets nobody in without the management key."""

    def __init__(self, inside: ASGIApp, key: str) -> None:
        self._inside, self._key = inside, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if keys.fits(Headers(scope=scope).get("authorization"), self._key):
            await self._inside(scope, receive, send)
        else:
            refusal = _failed(400, NO_KEY.format("management"), "InvalidKeyException")
            await refusal(scope, receive, send)


def guarded(api: Api, key: str) -> ASGIApp:
    """Return the API, for those who have the key with this digest."""
    routes = [
        Route("/models", api.models, methods=["GET"]),
        Route("/models", api.register, methods=["POST"]),
        Route("/models/{name}/{version}/set-default", api.set_default, methods=["PUT"]),
        *(
            Route(path, endpoint, methods=[method])
            for path in ("/models/{name}", "/models/{name}/{version}")
            for method, endpoint in {
                "GET": api.describe,
                "PUT": api.scale,
                "DELETE": api.unregister,
            }.items()
        ),
        Route("/canaries/{name}", api.split, methods=["PUT"]),
        Route("/canaries/{name}", api.unsplit, methods=["DELETE"]),
        Route("/readiness", api.readiness, methods=["GET"]),
    ]
    handlers = {MarqueeError: _refused, HTTPException: _refused}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), key)


@contextmanager
def listening(address: str, application: ASGIApp) -> Iterator[None]:
    """Answer at an address in the block, in a thread.

    Raises:
        MarqueeError: it cannot be listened at.
    """
    parts = urlsplit(address)
    host, port = str(parts.hostname), parts.port or 80
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family)
    except OSError as error:
        raise MarqueeError(
            f"management_address {address} cannot be listened at ({error}); set "
            "TS_MANAGEMENT_ADDRESS to another"
        ) from error
    config = uvicorn.Config(
        application,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [bound]}, name="management", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
