"""moto's emulated services in this process, with its Lambda made to run code.

moto itself runs functions in Docker only. Five of its joints are ours: its Lambda without
Docker, S3's call of a function and its taking one upload at a time, which topic a notification came
from, and SageMaker's update of an endpoint. Its version is pinned, and ``tests/deploy/local`` has a
test for each joint.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import moto.awslambda_simple.models as simple
import moto.s3.notifications as s3_notifications
from moto.awslambda.models import LambdaFunction
from moto.core.base_backend import BackendDict
from moto.core.config import default_user_config
from moto.core.responses import ActionResult
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.responses import S3Response
from moto.sagemaker.models import SageMakerModelBackend, sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse
from moto.sns.models import Subscription

from deploy.local.account import ACCOUNT
from deploy.local.clock import moment
from deploy.local.lambdas import Lambdas

Json = dict[str, Any]
_sequence = itertools.count(time.time_ns())
_notification: ContextVar[Json] = ContextVar("notification")


def application(lambdas: Lambdas) -> Callable[..., Any]:
    """Return the WSGI application of all services, which runs functions by ``lambdas``."""
    default_user_config["lambda"] = {"use_docker": False}
    _run_functions(lambdas)
    _deliver_objects(lambdas)
    _take_turns()
    _name_topics()
    _update_endpoints()
    app: Callable[..., Any] = DomainDispatcherApplication(create_backend_app)
    return app


def reset() -> None:
    """Forget everything: the next cloud in this process begins with nothing."""
    moto_api_backend.reset()


def sagemaker(region: str) -> SageMakerModelBackend:
    """Return SageMaker's control plane of a region."""
    return sagemaker_backends[ACCOUNT][region]


def lambda_of(arn: str) -> LambdaFunction:
    """Return the deployed function of an ARN."""
    return simple.lambda_simple_backends[ACCOUNT][arn.split(":")[3]].get_function(arn)


def _run_functions(lambdas: Lambdas) -> None:
    class Running(simple.LambdaSimpleBackend):
        """Lambda of a region."""

        def invoke(
            self,
            function_name: str,
            qualifier: str | None,
            body: Any,
            headers: Any,
            response_headers: Any,
        ) -> str | bytes | None:
            """Run a function for its own API, or for a queue that it listens to."""
            deployed = self.get_function(function_name, qualifier)
            kind = headers.get("X-Amz-Invocation-Type", "RequestResponse")
            event = json.loads(body or "{}")
            if kind == "RequestResponse":
                outcome = lambdas.run(deployed, event)
                if outcome.error:
                    response_headers["x-amz-function-error"] = "Unhandled"
                return outcome.payload.encode()
            if kind == "Event":
                lambdas.send(deployed, event)
            return b""

        def send_sns_message(
            self,
            function_name: str,
            message: str,
            subject: str | None = None,
            qualifier: str | None = None,
        ) -> None:
            """Deliver a topic's message."""
            deployed = self.get_function(function_name, qualifier)
            lambdas.send(deployed, sns_event(_notification.get({}), message, subject))

    simple.lambda_simple_backends = BackendDict(Running, "lambda")


def _deliver_objects(lambdas: Lambdas) -> None:
    def deliver(account_id: str, event_body: Any, fn_arn: str, region_name: str) -> None:
        backend = simple.lambda_simple_backends[account_id][region_name]
        lambdas.send(backend.get_function(fn_arn), s3_event(event_body))

    s3_notifications._invoke_awslambda = deliver


def _take_turns() -> None:
    """Have uploads wait for each other: moto closes an object that is replaced as it answers."""
    plain = S3Response._key_response_put
    if getattr(plain, "takes_turns", False):
        return
    turn = threading.Lock()

    def put(self: S3Response, *args: Any, **named: Any) -> Any:
        with turn:
            return plain(self, *args, **named)

    put.takes_turns = True  # type: ignore[attr-defined]
    S3Response._key_response_put = put  # type: ignore[method-assign]


def _name_topics() -> None:
    plain = Subscription.publish
    if getattr(plain, "names_topics", False):
        return

    def publish(self: Subscription, message: str, message_id: str, *rest: Any, **more: Any) -> None:
        known = {
            "topic": self.topic_arn,
            "subscription": self.arn,
            "message_id": message_id,
            "attributes": more.get("message_attributes") or {},
        }
        token = _notification.set(known)
        try:
            plain(self, message, message_id, *rest, **more)
        finally:
            _notification.reset(token)

    publish.names_topics = True  # type: ignore[attr-defined]
    Subscription.publish = publish  # type: ignore[method-assign]


def _update_endpoints() -> None:
    def update_endpoint(self: SageMakerResponse) -> ActionResult:
        name, config = (self._get_param(key) for key in ("EndpointName", "EndpointConfigName"))
        backend = self.sagemaker_backend
        backend.describe_endpoint(name)  # refuses one that is not there
        before = backend.endpoints[name]
        after = backend.create_endpoint(name, config, before.tags)
        after.creation_time = before.creation_time
        return ActionResult({"EndpointArn": after.arn})

    SageMakerResponse.update_endpoint = update_endpoint  # type: ignore[attr-defined]


def s3_event(event: Mapping[str, Any]) -> Json:
    """Return moto's event with what AWS sends besides; the sequencer tells the later of two."""
    return {"Records": [_s3_record(record) for record in event["Records"]]}


def _s3_record(record: Mapping[str, Any]) -> Json:
    s3 = record["s3"]
    # As in AWS, all of a key but its slashes is encoded.
    more = {
        "key": s3["object"]["key"].replace("%2F", "/"),
        "sequencer": f"{next(_sequence):018X}",
    }
    owner = {"principalId": ACCOUNT}
    return {
        **record,
        "userIdentity": owner,
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": uuid.uuid4().hex[:16].upper()},
        "s3": {
            **s3,
            "bucket": {**s3["bucket"], "ownerIdentity": owner},
            "object": {**s3["object"], **more},
        },
    }


def sns_event(known: Mapping[str, Any], message: str, subject: str | None) -> Json:
    """Return a topic's message as Lambda gets it; there is nothing that could be verified."""
    attributes = {
        name: {"Type": found["Type"], "Value": found["Value"]}
        for name, found in known.get("attributes", {}).items()
    }
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": known.get("subscription"),
                "Sns": {
                    "Type": "Notification",
                    "MessageId": known.get("message_id"),
                    "TopicArn": known.get("topic"),
                    "Subject": subject,
                    "Message": message,
                    "MessageAttributes": attributes,
                    "Timestamp": moment(),
                    "SignatureVersion": "1",
                    "Signature": "",
                    "SigningCertUrl": "",
                    "UnsubscribeUrl": "",
                },
            }
        ]
    }
