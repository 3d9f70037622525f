"""Run one function, invocation by invocation, in a process of its own.

Started by file name, not as a part of marquee: the function finds the standard library, what
is installed, and its own folder, as it would in Lambda. ``argv``: the descriptor of a socket
to :mod:`deploy.local.functions`. The first message out says that it is ready; then each one in
is an invocation, each one out its outcome.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable
from http.client import HTTPResponse
from multiprocessing.connection import Connection
from typing import Any

Json = dict[str, Any]
Handler = Callable[[Any, Any], Any]

# Public objects by S3's own addresses: of the region, with the bucket in front or in the path.
S3_HOST = re.compile(r"(?:(?P<bucket>.+)\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com")


class LambdaContext:
    """What a handler gets as its second argument."""

    def __init__(self, request: Json) -> None:
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.invoked_function_arn = request["arn"]
        self.aws_request_id = request["id"]
        self.client_context = None
        self.identity = None
        self._deadline = time.monotonic() + request["seconds"]

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the handler may still run."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


class PublicObjects(urllib.request.HTTPSHandler):
    """Reads S3's public addresses, which no SDK setting reaches, from the cloud at hand."""

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        """Open an address, if it is S3's then here."""
        found = S3_HOST.fullmatch(req.host)
        address = os.environ.get("AWS_ENDPOINT_URL", "")
        if not found or not address:
            return super().https_open(req)
        bucket = f"/{found['bucket']}" if found["bucket"] else ""
        with_headers = urllib.request.Request(  # noqa: S310 - our own address
            f"{address}{bucket}{req.selector}", req.data, dict(req.headers), method=req.get_method()
        )
        opened: HTTPResponse = urllib.request.build_opener().open(with_headers)
        return opened


def load(name: str) -> Handler:
    """Return the handler ``module.function``; the module may be given as a path."""
    module, _, function = name.rpartition(".")
    handler: Handler = getattr(importlib.import_module(module.replace("/", ".")), function)
    return handler


def failure(kind: str, message: str, **more: Any) -> Json:
    """Return an error as Lambda reports it."""
    return {"error": {"errorMessage": message, "errorType": kind, **more}}


def raised(error: BaseException, request: Json) -> Json:
    """Return what a handler raised; its story goes to the log."""
    traceback.print_exception(error)
    story = traceback.format_list(traceback.extract_tb(error.__traceback__)[1:])
    return failure(type(error).__name__, str(error), requestId=request["id"], stackTrace=story)


def ready(name: str) -> Handler | Json:
    """Return the handler, or why there is none."""
    try:
        return load(name)
    except AttributeError:
        module, _, function = name.rpartition(".")
        return failure("Runtime.HandlerNotFound", f"Handler '{function}' missing on '{module}'")
    except Exception as error:  # noqa: BLE001 - a module may raise anything at import
        traceback.print_exception(error)
        kind = "ImportModuleError" if isinstance(error, ImportError) else type(error).__name__
        module = name.rpartition(".")[0]
        return failure(f"Runtime.{kind}", f"Unable to import module '{module}': {error}")


def answer(handler: Handler | Json, request: Json) -> Json:
    """Return a handler's result, or its error."""
    if isinstance(handler, dict):
        return handler
    try:
        result = handler(request["event"], LambdaContext(request))
    except Exception as error:  # noqa: BLE001 - a handler may raise anything
        return raised(error, request)
    try:
        return {"result": json.dumps(result)}
    except (TypeError, ValueError) as error:
        return failure("Runtime.MarshalError", f"Unable to marshal response: {error}")


def main() -> None:
    """Answer until the other side hangs up."""
    channel = Connection(int(sys.argv[1]))
    urllib.request.install_opener(urllib.request.build_opener(PublicObjects))
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    handler = ready(os.environ["_HANDLER"])
    channel.send_bytes(b"ready")  # from now on its time counts
    while True:
        try:
            request = json.loads(channel.recv_bytes())
        except EOFError:
            return
        print(f"START RequestId: {request['id']}", file=sys.stderr)  # noqa: T201 - its log
        outcome = answer(handler, request)
        sys.stdout.flush()
        channel.send_bytes(json.dumps(outcome).encode())


if __name__ == "__main__":
    main()
