"""A stage for the functions: moto's S3 and DynamoDB, the template's variables and rights."""

from __future__ import annotations

import importlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import shared
from deploy.aws import validate
from tests.deploy.endpoints import Asked, Endpoints
from tests.deploy.resolve import BUCKET, REGION, allowed, reference, resolved
from timetravel import table

ALL_VARIABLES = {
    name
    for _, properties in validate.of_kind(validate.load(), validate.SAM_FUNCTION)
    for name in properties["Environment"]["Variables"]
}


# The function that runs here, whose rights hold; none for what the test does itself.
ACTING: ContextVar[str] = ContextVar("ACTING", default="")


@contextmanager
def acting(name: str) -> Iterator[None]:
    """Let a function's rights hold until the block ends."""
    token = ACTING.set(name)
    try:
        yield
    finally:
        ACTING.reset(token)


@dataclass(frozen=True)
class Context:
    """What Lambda tells a function of its run; a retry has the same id."""

    aws_request_id: str


@dataclass
class Stage:
    """The template's buckets and table, its functions, and endpoints that tests fill."""

    template: validate.Template
    endpoints: Endpoints
    # Variables that a test sets otherwise than the template.
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def s3(self) -> Any:
        return shared.client("s3")

    def bucket(self, name: str) -> str:
        return reference(self.template, name)

    def environment(self, name: str) -> dict[str, str]:
        """Return the variables that the template, or the test, gives to a function."""
        properties = self.template["Resources"][name]["Properties"]
        variables = properties["Environment"]["Variables"]
        own = {key: resolved(self.template, value) for key, value in variables.items()}
        return own | {key: value for key, value in self.variables.items() if key in own}

    def run(self, name: str, event: Mapping[str, Any], run: str | None = None) -> Any:
        """Run a function once on an event, as Lambda would: with its variables and rights."""
        handler = self.template["Resources"][name]["Properties"]["Handler"]
        module, _, function = handler.rpartition(".")
        code = getattr(importlib.import_module(module), function)
        own = self.environment(name)
        for key in ALL_VARIABLES - own.keys():
            os.environ.pop(key, None)
        os.environ.update(own)
        with acting(name):
            return code(event, Context(run or uuid.uuid4().hex))

    def watch(self, client: Any) -> None:
        """Refuse calls of the functions that the template gives them no right to."""
        # Clients outlive stages, and the SDK keeps the first of two handlers with one id.
        client.meta.events.unregister("provide-client-params.*", unique_id="rights")
        client.meta.events.register("provide-client-params.*", self._check, unique_id="rights")

    def _check(self, params: Mapping[str, Any], model: Any, **others: Any) -> None:
        name = ACTING.get()
        if name and not allowed(self.template, name, model, params):
            named = {key: value for key, value in params.items() if key != "Body"}
            raise AssertionError(f"{name} has no right to {model.name} {named}")

    def ask(self, name: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """Send a JSON request through the gateway; returns the status and the answer's JSON."""
        text = body if isinstance(body, str) else json.dumps(body)
        event: dict[str, Any] = {
            "httpMethod": "POST",
            "headers": {},
            "pathParameters": None,
            "body": text,
        }
        answer = self.run(name, event | more)
        return answer["statusCode"], json.loads(answer["body"])

    def make(self) -> None:
        """Make the template's buckets and table."""
        os.environ["ENDPOINT_SECONDS"] = "5"
        for client in (self.s3, table.dynamo(), shared.client("sagemaker-runtime")):
            self.watch(client)
        for name, _ in validate.of_kind(self.template, BUCKET):
            self.s3.create_bucket(
                Bucket=self.bucket(name),
                CreateBucketConfiguration={"LocationConstraint": REGION},
            )
        for name, properties in validate.of_kind(self.template, "AWS::DynamoDB::Table"):
            table.dynamo().create_table(
                TableName=reference(self.template, name),
                AttributeDefinitions=properties["AttributeDefinitions"],
                KeySchema=properties["KeySchema"],
                BillingMode=properties["BillingMode"],
            )

    def put(self, bucket: str, key: str, data: bytes, at: int | None = None) -> dict[str, Any]:
        """Put an object and return the event that S3 tells of it; ``at`` orders events."""
        etag = self.s3.put_object(Bucket=self.bucket(bucket), Key=key, Body=data)["ETag"]
        about = {
            "key": quote_plus(key, safe="/"),
            "size": len(data),
            "eTag": etag.strip('"'),
            "sequencer": f"{at if at is not None else time.monotonic_ns():X}",
        }
        s3 = {"bucket": {"name": self.bucket(bucket)}, "object": about}
        return {"Records": [{"eventTime": "2026-01-01T00:00:00.000Z", "s3": s3}]}

    def get(self, bucket: str, key: str) -> bytes:
        found = self.s3.get_object(Bucket=self.bucket(bucket), Key=key)
        data: bytes = found["Body"].read()
        return data

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket(bucket), Prefix=prefix)
        return [one["Key"] for one in found.get("Contents", [])]

    def work(self) -> list[dict[str, Any]]:
        """Let the asynchronous endpoint do what waits; returns its notifications, undelivered."""
        waiting, self.endpoints.queue = self.endpoints.queue, []
        with acting(""):
            return [self._work(item) for item in waiting]

    def _work(self, item: dict[str, str]) -> dict[str, Any]:
        bucket, _, key = item["inputlocation"].removeprefix("s3://").partition("/")
        body = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        kinds = item["content-type"], item["accept"]
        said = self.endpoints.ask(Asked(item["endpoint"], body, *kinds))
        good = said.status == 200
        place = item["output" if good else "failure"]
        self.s3.put_object(Bucket=bucket, Key=place.split("/", 3)[3], Body=said.body)
        notice = {
            "invocationStatus": "Completed" if good else "Failed",
            "inferenceId": item["inference-id"],
            "requestParameters": {"inputLocation": item["inputlocation"]},
        }
        outcome = (
            {"responseParameters": {"outputLocation": place}}
            if good
            else {"failureReason": f"ClientError: {said.status} from the model"}
        )
        return sns(notice | outcome)


def sns(notice: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event that a topic makes of a notification."""
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(notice)}}]}
