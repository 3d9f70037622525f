"""Lambda: which code a function has, its processes, and events that are tried again."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import threading
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moto.awslambda.models import LambdaFunction

from deploy.local import account
from deploy.local.clock import Clock, moment
from deploy.local.functions import (
    CONCURRENCY,
    REQUEST_BYTES,
    DeployedFunction,
    InvocationResult,
    Pool,
)
from deploy.local.queues import Queues

# Lambda waits one minute, then two; nobody wants to wait that long at a desk.
RETRY_SECONDS = (1.0, 2.0)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Event:
    """An event on its way to a function; the id stays the same over all tries."""

    function: DeployedFunction
    payload: Any
    request_id: str
    settings: Mapping[str, Any]
    tries: int = 0

    @property
    def retries(self) -> int:
        """How often it is tried again."""
        return int(self.settings.get("MaximumRetryAttempts", 2))

    @property
    def destination(self) -> str:
        """Where it goes when no try succeeds, an ARN or nothing."""
        found = self.settings.get("DestinationConfig", {}).get("OnFailure", {})
        return str(found.get("Destination", ""))


class Lambdas:
    """All functions of the cloud.

    Attributes:
        address: where they find the services.
    """

    def __init__(self, folder: Path, logs: Path, clock: Clock, address: str = "") -> None:
        self.address = address
        self._folder = folder
        self._logs = logs
        self._clock = clock
        self._lock = threading.Lock()
        self._pools: dict[str, Pool] = {}
        self._queues = Queues()
        self._timers: set[threading.Timer] = set()

    def run(self, deployed: LambdaFunction, event: Any) -> InvocationResult:
        """Run a function and wait for its outcome."""
        return self._once(self._function(deployed), event, str(uuid.uuid4()))

    def send(self, deployed: LambdaFunction, event: Any) -> None:
        """Run a function later; after the last failed try the event goes to its destination."""
        configs = deployed.event_invoke_config
        settings = configs[-1].config if configs else {}
        function = self._function(deployed)
        self._submit(_Event(function, event, str(uuid.uuid4()), settings))

    def close(self) -> None:
        """End all processes and forget what waits."""
        self._queues.close()
        with self._lock:
            timers, pools = self._timers, self._pools
        for timer in [*timers]:
            timer.cancel()
        for pool in pools.values():
            pool.close()

    def _once(self, function: DeployedFunction, event: Any, request_id: str) -> InvocationResult:
        size = len(json.dumps(event).encode())
        if size > REQUEST_BYTES:
            return InvocationResult.failed(
                "RequestEntityTooLargeException",
                f"Request must be smaller than {REQUEST_BYTES} bytes, this one has {size}.",
            )
        with self._clock.timed("function", function.name):
            return self._pool(function).invoke(function, event, request_id)

    def _submit(self, event: _Event) -> None:
        self._queues.submit(event.function.arn, event.function.concurrency, self._try, event)

    def _try(self, event: _Event) -> None:
        outcome = self._once(event.function, event.payload, event.request_id)
        if not outcome.error or self._queues.closed:
            return
        log.warning("%s: %s", event.function.name, outcome.payload[:500])
        if event.tries < event.retries:
            self._later(event)
        elif event.destination:
            self._bury(event, outcome)

    def _later(self, event: _Event) -> None:
        again = replace(event, tries=event.tries + 1)
        timer = threading.Timer(RETRY_SECONDS[event.tries], self._submit, [again])
        timer.daemon = True
        with self._lock:
            self._timers = {one for one in self._timers if one.is_alive()} | {timer}
        timer.start()

    def _bury(self, event: _Event, outcome: InvocationResult) -> None:
        text = json.dumps(_failure_record(event, outcome))
        kind, name = event.destination.split(":")[2], event.destination.split(":")[-1]
        client = account.client(kind, self.address)
        if kind == "sqs":
            client.send_message(
                QueueUrl=client.get_queue_url(QueueName=name)["QueueUrl"], MessageBody=text
            )
        elif kind == "sns":
            client.publish(TopicArn=event.destination, Message=text)
        else:
            log.warning("%s: nothing is delivered to %s here", event.function.name, name)

    def _pool(self, function: DeployedFunction) -> Pool:
        with self._lock:
            if function.arn not in self._pools:
                path = self._logs / f"{function.name}.log"
                self._pools[function.arn] = Pool(self.address, path, function.concurrency)
            return self._pools[function.arn]

    def _function(self, deployed: LambdaFunction) -> DeployedFunction:
        return DeployedFunction(
            name=deployed.function_name,
            arn=deployed.function_arn,
            code=self._unpacked(deployed.code_bytes),
            handler=str(deployed.handler),
            seconds=float(deployed.timeout),
            memory=int(deployed.memory_size),
            revision=_revision(deployed),
            environment=deployed.environment_vars,
            concurrency=int(deployed.reserved_concurrency or CONCURRENCY),
        )

    def _unpacked(self, code: bytes) -> Path:
        """Return the folder of a function's code; those with the same code share it."""
        folder = self._folder / hashlib.sha256(code).hexdigest()[:16]
        with self._lock:
            if not folder.is_dir():
                with zipfile.ZipFile(io.BytesIO(code)) as archive:
                    archive.extractall(folder)
        return folder


def _revision(deployed: LambdaFunction) -> str:
    known = [deployed.code_sha_256, deployed.handler, deployed.timeout, deployed.memory_size]
    text = json.dumps([*known, deployed.environment_vars], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _failure_record(event: _Event, outcome: InvocationResult) -> dict[str, Any]:
    """Return what Lambda sends to a function's failure destination."""
    return {
        "version": "1.0",
        "timestamp": moment(),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": f"{event.function.arn}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": event.tries + 1,
        },
        "requestPayload": event.payload,
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": json.loads(outcome.payload),
    }
