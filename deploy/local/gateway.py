"""API Gateway: the stack's REST API on an address of its own, with the real limits."""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from typing import Any

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from deploy.local.account import ACCOUNT
from deploy.local.functions import REQUEST_BYTES, InvocationResult
from deploy.local.routes import Api, ApiRoute

BODY_BYTES = 10_485_760
SECONDS = 29.0
AT_ONCE = 64

Event = dict[str, Any]


class Denied(Exception):
    """The gateway itself answers."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class TokenBucket:
    """Throttling: a bucket of ``burst`` tokens, filled with ``rate`` a second."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take a token, if there is one."""
        if not self._rate:
            return True
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class Gateway:
    """A WSGI application."""

    def __init__(
        self,
        api: Api,
        keys: Collection[str],
        run: Callable[[str, Event], InvocationResult],
        seconds: float = SECONDS,
    ) -> None:
        self._api = api
        self._keys = frozenset(keys)
        self._run = run
        self._seconds = seconds
        self._bucket = TokenBucket(api.rate, api.burst)
        self._threads = ThreadPoolExecutor(AT_ONCE)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request."""
        request = Request(environ)
        request.max_content_length = BODY_BYTES
        return self._answer(request)(environ, start_response)

    def close(self) -> None:
        """Forget what waits."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answer(self, request: Request) -> Response:
        try:
            route, parameters = self._route(request)
            if not route.function:
                return Response("{}", headers=route.headers, content_type="application/json")
            self._admit(request, route)
            return self._ask(route, self._event(request, route, parameters))
        except Denied as denied:
            return self._refusal(denied)

    def _route(self, request: Request) -> tuple[ApiRoute, dict[str, str]]:
        matched = self._api.find(request.method, request.path)
        if matched is None:
            # API Gateway's own words for a path that it does not know.
            raise Denied(403, "Missing Authentication Token")
        return matched

    def _admit(self, request: Request, route: ApiRoute) -> None:
        if route.needs_key and request.headers.get("x-api-key") not in self._keys:
            raise Denied(403, "Forbidden")
        if not self._bucket.take():
            raise Denied(429, "Too Many Requests")

    def _ask(self, route: ApiRoute, event: Event) -> Response:
        if len(json.dumps(event).encode()) > REQUEST_BYTES:
            raise Denied(413, "Request Too Long")
        run = self._threads.submit(self._run, route.function, event)
        try:
            outcome = run.result(self._seconds)
        except LateError as error:
            raise Denied(504, "Endpoint request timed out") from error
        if outcome.error:
            raise Denied(502, "Internal server error")
        return response(json.loads(outcome.payload))

    def _event(self, request: Request, route: ApiRoute, parameters: Mapping[str, str]) -> Event:
        try:
            data = request.get_data()
        except RequestEntityTooLarge as error:
            raise Denied(413, f"HTTP content length exceeded {BODY_BYTES} bytes.") from error
        encoded = request.mimetype in self._api.binary or "*/*" in self._api.binary
        text = base64.b64encode(data).decode() if encoded else data.decode("utf-8", "replace")
        context = request_context(request, route, self._api)
        return event(request, route, parameters, context) | {
            "body": text or None,
            "isBase64Encoded": bool(encoded and text),
        }

    def _refusal(self, denied: Denied) -> Response:
        kind = "DEFAULT_4XX" if denied.status < 500 else "DEFAULT_5XX"
        headers = self._api.refusals.get(kind, {})
        body = json.dumps({"message": str(denied)})
        return Response(body, denied.status, headers, content_type="application/json")


def event(
    request: Request, route: ApiRoute, parameters: Mapping[str, str], context: Mapping[str, Any]
) -> Event:
    """Return what a function gets: the gateway's payload, version 1.0, without the body."""
    headers = dict(request.headers)
    many = {name: request.headers.getlist(name) for name in headers}
    query = request.args.to_dict(flat=False)
    return {
        "resource": route.resource,
        "path": request.path.removeprefix(f"/{context['stage']}") or "/",
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": many,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(parameters) or None,
        "stageVariables": None,
        "requestContext": context,
    }


def request_context(request: Request, route: ApiRoute, api: Api) -> dict[str, Any]:
    """Return the event's ``requestContext``."""
    return {
        "accountId": ACCOUNT,
        "apiId": api.api_id,
        "resourceId": "local",
        "resourcePath": route.resource,
        "httpMethod": request.method,
        "path": request.path,
        "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
        "stage": api.stage,
        "domainName": request.host,
        "requestId": str(uuid.uuid4()),
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()),
        "requestTimeEpoch": int(time.time() * 1000),
        "identity": {
            "sourceIp": request.remote_addr or "127.0.0.1",
            "userAgent": request.headers.get("User-Agent"),
        },
    }


def response(answer: Any) -> Response:
    """Return a function's answer to the client.

    Raises:
        Denied: it is not in the shape that the gateway understands.
    """
    status = answer.get("statusCode") if isinstance(answer, dict) else None
    body = answer.get("body") or "" if isinstance(answer, dict) else None
    # A whole number as text is taken as well.
    if not str(status).isdecimal() or not isinstance(body, str):
        raise Denied(502, "Internal server error")
    made = Response(_decoded(answer, body), int(str(status)))
    made.headers["Content-Type"] = "application/json"
    for name, value in (answer.get("headers") or {}).items():
        made.headers[name] = str(value)
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        made.headers.setlist(name, [str(value) for value in values])
    return made


def _decoded(answer: Mapping[str, Any], body: str) -> bytes:
    if not answer.get("isBase64Encoded"):
        return body.encode()
    try:
        return base64.b64decode(body)
    except binascii.Error as error:
        raise Denied(502, "Internal server error") from error
