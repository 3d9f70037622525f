"""Functions as Lambda runs them: each invocation in a process, kept warm for the next one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from deploy.local import account
from deploy.local.clock import moment

WORKER = Path(__file__).with_name("worker.py")
# What Lambda takes and hands back in one piece.
REQUEST_BYTES = 6_291_456
RESPONSE_BYTES = 6_291_556
# Processes a function may have; Lambda has a thousand, this machine has not.
CONCURRENCY = 4
# Lambda gives ten seconds to start in; this is for a busy machine.
INIT_SECONDS = 60
STOP_SECONDS = 2


@dataclass(frozen=True)
class DeployedFunction:
    """A deployed function.

    Attributes:
        code: the folder of its unpacked code.
        handler: ``module.function``.
        seconds: its time-out.
        memory: megabytes it may use; told to it, not enforced.
        revision: changes with its code and configuration.
    """

    name: str
    arn: str
    code: Path
    handler: str
    seconds: float
    memory: int
    revision: str
    environment: Mapping[str, str] = field(default_factory=dict)
    concurrency: int = CONCURRENCY


@dataclass(frozen=True)
class InvocationResult:
    """What an invocation came to.

    Attributes:
        payload: the JSON text of the result, or of the error.
        error: whether it is one.
    """

    payload: str
    error: bool = False

    @classmethod
    def failed(cls, kind: str, message: str) -> InvocationResult:
        """Return an error in Lambda's shape."""
        return cls(json.dumps({"errorType": kind, "errorMessage": message}), error=True)


class FunctionProcess:
    """One process of a function."""

    def __init__(self, function: DeployedFunction, address: str, log: Path) -> None:
        ours, theirs = socket.socketpair()
        with theirs, log.open("ab") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-B", str(WORKER), str(theirs.fileno())],
                cwd=function.code,
                env=environment(function, address),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._channel = Connection(ours.detach())
        self._fresh = True
        self.revision = function.revision

    @property
    def alive(self) -> bool:
        """Whether it can take another invocation."""
        return self._process.poll() is None and not self._channel.closed

    def invoke(self, function: DeployedFunction, event: Any, request_id: str) -> InvocationResult:
        """Run the handler once; a process that dies or takes too long is gone afterwards."""
        request = {
            "id": request_id,
            "arn": function.arn,
            "seconds": function.seconds,
            "event": event,
        }
        try:
            if not self._ready():
                return self._timed_out(request | {"seconds": INIT_SECONDS})
            self._channel.send_bytes(json.dumps(request).encode())
            if not self._channel.poll(function.seconds):
                return self._timed_out(request)
            return _outcome(json.loads(self._channel.recv_bytes()))
        except (EOFError, OSError):
            return self._died(request)

    def _ready(self) -> bool:
        """Wait until a fresh process has imported its code, which its time-out leaves out."""
        if self._fresh and self._channel.poll(INIT_SECONDS):
            self._channel.recv_bytes()
            self._fresh = False
        return not self._fresh

    def _timed_out(self, request: Mapping[str, Any]) -> InvocationResult:
        self.stop()
        words = f"{moment()} {request['id']} Task timed out after {request['seconds']:.2f} seconds"
        return InvocationResult.failed("Sandbox.Timedout", words)

    def _died(self, request: Mapping[str, Any]) -> InvocationResult:
        try:
            code = self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:  # it hung up, and lives on
            code = -signal.SIGKILL
        self.stop()
        how = f"signal: {-code}" if code < 0 else f"exit status {code}"
        words = f"RequestId: {request['id']} Error: Runtime exited with error: {how}"
        return InvocationResult.failed("Runtime.ExitError", words)

    def stop(self) -> None:
        """End it, whatever it does."""
        self._channel.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # and whatever it has started
        self._process.wait(timeout=STOP_SECONDS)


def _outcome(answer: Mapping[str, Any]) -> InvocationResult:
    if "error" in answer:
        return InvocationResult(json.dumps(answer["error"]), error=True)
    payload = str(answer["result"])
    if len(payload.encode()) > RESPONSE_BYTES:
        return InvocationResult.failed(
            "Function.ResponseSizeTooLarge",
            f"Response payload size exceeded maximum allowed ({RESPONSE_BYTES} bytes).",
        )
    return InvocationResult(payload)


def environment(function: DeployedFunction, address: str) -> dict[str, str]:
    """Return what a function finds in its environment: nothing of ours but the path."""
    own = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    given = {
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": uuid.uuid4().hex,
        "LAMBDA_TASK_ROOT": str(function.code),
        "_HANDLER": function.handler,
        "TZ": ":UTC",
        "PYTHONUNBUFFERED": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return own | account.variables(address) | given | dict(function.environment)


class Pool:
    """The processes of one function: as many as there are invocations at once, up to a limit."""

    def __init__(self, address: str, log: Path, concurrency: int = CONCURRENCY) -> None:
        self._address = address
        self._log = log
        self._slots = threading.BoundedSemaphore(concurrency)
        self._lock = threading.Lock()
        self._idle: list[FunctionProcess] = []
        self._all: set[FunctionProcess] = set()
        self._closed = False

    def invoke(self, function: DeployedFunction, event: Any, request_id: str) -> InvocationResult:
        """Run the function once, in a warm process where there is one."""
        with self._slots:
            process = self._take(function)
            if process is None:
                return InvocationResult.failed("Runtime.Shutdown", "the cloud is going down")
            outcome = process.invoke(function, event, request_id)
            self._give_back(process)
            return outcome

    def _take(self, function: DeployedFunction) -> FunctionProcess | None:
        with self._lock:
            if self._closed:
                return None
            while self._idle:
                process = self._idle.pop()
                if process.alive and process.revision == function.revision:
                    return process
                self._drop(process)
            process = FunctionProcess(function, self._address, self._log)
            self._all.add(process)
            return process

    def _give_back(self, process: FunctionProcess) -> None:
        with self._lock:
            if process.alive and not self._closed:
                self._idle.append(process)
            else:
                self._drop(process)

    def _drop(self, process: FunctionProcess) -> None:
        self._all.discard(process)
        process.stop()

    def close(self) -> None:
        """End all processes; invocations under way come to an error."""
        with self._lock:
            self._closed = True
            for process in [*self._all]:
                self._drop(process)
