"""The door: takes requests at TorchServe's addresses, and asks the versions' workers."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
import time
import uuid
from collections import Counter
from contextlib import suppress
from typing import Any

import ray
from ray import serve
from ray.exceptions import ObjectStoreFullError, OutOfMemoryError, RayActorError
from ray.serve.exceptions import DeploymentUnavailableError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from marquee.archives.worker import WorkerReply, WorkerRequest
from marquee.front.refusals import NO_KEY, REFUSALS
from marquee.ray import hub as hubs
from marquee.ray.bodies import request_of
from marquee.ray.refusal import HEADERS, Refused, like_front, no_worker, queue_full
from marquee.ray.routing import Asked, Chooser, asked
from marquee.ray.spec import Routes, VersionSpec
from marquee.ray.telling import ACCESS, FRONT, Teller, stamp

logger = logging.getLogger(__name__)

WAITING_SECONDS = 0.5
# Before a request that a leaving worker has not begun is given to another one.
AGAIN_SECONDS = 0.1
ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Door:
    """The class of the one deployment that takes requests."""

    def __init__(self) -> None:
        self._hub = hubs.find()
        self._name = uuid.uuid4().hex
        self._routes: Routes = ray.get(self._hub.current.remote())
        self._teller = Teller(self._hub)
        self._chooser = Chooser()
        self._handles: dict[tuple[str, str], Any] = {}
        self._asked: Counter[tuple[str, str]] = Counter()
        self._workers: Counter[tuple[str, str]] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    async def check_health(self) -> None:
        """Begin to follow the routes, and see that this goes on.

        Raises:
            RuntimeError: it does not.
        """
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._follow()),
                asyncio.create_task(self._count()),
            ]
        if any(task.done() for task in self._tasks):
            raise RuntimeError("the door does not follow the routes any more")

    async def _follow(self) -> None:
        known = -1
        while True:
            try:
                known, self._routes = await self._hub.routes.remote(self._name, known)
            except RayActorError:
                await asyncio.sleep(WAITING_SECONDS)  # it is being started again

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(WAITING_SECONDS)
            with suppress(RayActorError):  # it is being started again
                self._workers = await self._hub.waiting.remote(self._name, dict(self._asked))

    async def __call__(self, request: Request) -> Response:
        """Answer a request, whatever it is, and write its line of the access log."""
        began = time.monotonic()
        path, query = request.url.path, request.url.query
        told = _Told(path, query)
        try:
            response = await self._answer(request, path, query, told)
        except Refused as refused:
            response = Response(refused.body(), refused.status, refused.headers())
        milliseconds = round((time.monotonic() - began) * 1000)
        self._log(request, told, response.status_code, milliseconds)
        return response

    async def _answer(self, request: Request, path: str, query: str, told: _Told) -> Response:
        if path in ("/ping", "/ping/"):
            return await self._ping()
        if self._routes.draining:
            raise like_front("draining")
        headers = dict(request.headers)
        self._check_key(headers.get("authorization", ""))
        whom = asked(path, query, headers, self._routes)
        spec, arm = self._chooser.choose(whom, self._routes)
        told.note(whom, spec, arm)
        body = await self._body(request)
        identity = headers.get("x-request-id", "")
        told.id = identity if ID.fullmatch(identity) else uuid.uuid4().hex
        worker_request = request_of(headers | dict(whom.headers), body, told.id)
        return _response(await self._ask(spec, worker_request))

    async def _ask(self, spec: VersionSpec, request: WorkerRequest) -> WorkerReply:
        """Return a worker's answer.

        Raises:
            Refused: none takes it, or the one that did has ended.
        """
        if not spec.max_workers:
            raise no_worker(spec.name, spec.version)
        key = (spec.name, spec.version)
        if self._asked[key] >= spec.queue + spec.slots * max(1, self._workers[key]):
            raise queue_full(spec.name, spec.version, spec.queue)
        self._asked[key] += 1
        try:
            while True:
                reply: WorkerReply | None = await self._handle(spec).ask.remote(request)
                if reply is not None:
                    return reply
                await asyncio.sleep(AGAIN_SECONDS)
        except DeploymentUnavailableError as error:
            raise no_worker(spec.name, spec.version) from error
        except ObjectStoreFullError as error:
            raise _full() from error
        except OutOfMemoryError as error:
            raise like_front("worker_killed") from error
        except RayActorError as error:
            raise like_front("worker_ended") from error
        finally:
            self._asked[key] -= 1

    def _handle(self, spec: VersionSpec) -> Any:
        key = (spec.name, spec.version)
        if key not in self._handles:
            self._handles[key] = serve.get_deployment_handle(
                spec.version, spec.name, _check_exists=False
            )
        return self._handles[key]

    def _check_key(self, header: str) -> None:
        """Compare a request's key with the server's, in a time that tells nothing."""
        given = header.removeprefix("Bearer ") if header.startswith("Bearer ") else ""
        digest = hashlib.sha256(given.encode()).hexdigest()
        if self._routes.key and not hmac.compare_digest(digest, self._routes.key):
            raise Refused(400, "InvalidKeyException", NO_KEY.format("inference"))

    async def _body(self, request: Request) -> bytes:
        """Return what a request carries, and read no more of it than it may.

        Raises:
            Refused: it is too large, or does not come whole.
        """
        most = self._routes.max_request_size
        declared = request.headers.get("content-length", "0")
        if int(declared) > most if declared.isdecimal() else True:
            raise _too_large(most)
        pieces, size = [], 0
        try:
            async for piece in request.stream():
                size += len(piece)
                if size > most:
                    raise _too_large(most)
                pieces.append(piece)
        except ClientDisconnect as error:
            raise Refused(
                400, "BadRequestException", "the request ended before all of it had come"
            ) from error
        return b"".join(pieces)

    async def _ping(self) -> Response:
        states = await self._hub.states.remote()
        up = {(one.name, one.version) for one in states if one.state == "ready"}
        models = {
            name: {"version": route.default, "ready": (name, route.default) in up}
            for name, route in self._routes.models.items()
        }
        ready = bool(models) and all(one["ready"] for one in models.values())
        body = {"status": "Healthy" if ready else "Unhealthy", "models": models}
        headers = {"content-type": "application/json"} | HEADERS
        return Response(json.dumps(body), 200 if ready else 503, headers)

    def _log(self, request: Request, told: _Told, status: int, milliseconds: int) -> None:
        client = f"/{request.client.host}:{request.client.port}" if request.client else "/-"
        line = f'{stamp()} {client} "{request.method} {told.target} HTTP/1.1" {status}'
        self._teller.tell(ACCESS, f"{line} {milliseconds}")
        if told.model:
            self._teller.tell(FRONT, told.front_line(status, milliseconds))


class _Told:
    """What the logs tell of a request."""

    def __init__(self, path: str, query: str) -> None:
        self.target = path + (f"?{query}" if query else "")
        self.id = self.model = self.version = self.arm = ""

    def note(self, whom: Asked, spec: VersionSpec, arm: str) -> None:
        """Note who answers; a canary's answers count as those that name its version."""
        self.model, self.version = spec.name, spec.version
        self.arm = "" if whom.marked else arm  # what marquee asks is nobody's traffic
        if self.arm == "canary":
            query = self.target.partition("?")[2]
            path = f"/predictions/{whom.model}/{spec.version}"
            self.target = path + (f"?{query}" if query else "")

    def front_line(self, status: int, milliseconds: int) -> str:
        """Return the line that the front door's log has for such a request."""
        return json.dumps(
            {
                "time": time.time(),
                "id": self.id,
                "server_id": self.id,
                "path": self.target,
                "model": self.model,
                "arm": self.arm,
                "version": "" if self.arm == "default" else self.version,
                "status": status,
                "server_ms": milliseconds,
                "total_ms": milliseconds,
            }
        )


def _response(reply: WorkerReply) -> Response:
    return Response(reply.body, reply.status, HEADERS | dict(reply.headers))


def _too_large(most: int) -> Refused:
    words = REFUSALS["too_large"].message.replace("{settings.max_request_size}", str(most))
    return Refused(413, "RequestEntityTooLargeException", words)


def _full() -> Refused:
    return Refused(
        503,
        "ServiceUnavailableException",
        "Ray's object store is full, and large requests go through it; try again, send less, or "
        "start the nodes with a larger --object-store-memory",
    )
