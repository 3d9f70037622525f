"""A stage for the functions: moto's S3 and DynamoDB, and endpoints that speak SageMaker's HTTP.

The SDK itself talks to the endpoints, so its errors and time-outs are the real ones.
"""

from __future__ import annotations

import importlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote_plus

import shared
from deploy.aws import validate
from timetravel import table

REGION = "eu-west-1"
PSEUDO = {
    "AWS::StackName": "stage",
    "AWS::AccountId": "123456789012",
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
}
BUCKET_KIND = "AWS::S3::Bucket"


@dataclass(frozen=True)
class Asked:
    """What a container is asked."""

    endpoint: str
    body: bytes
    content_type: str
    accept: str


@dataclass(frozen=True)
class Said:
    """What a container answers."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200


Container = Callable[[Asked], Said]


@dataclass
class Endpoints:
    """Containers by the name of their endpoint, what they were asked, and what waits for them."""

    containers: dict[str, Container] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    queue: list[dict[str, str]] = field(default_factory=list)
    # The next calls are refused so: an error's code and its status.
    refusals: list[tuple[str, int]] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything, for the next test."""
        for known in (self.containers, self.asked, self.queue, self.refusals):
            known.clear()

    def ask(self, asked: Asked) -> Said:
        self.asked.append(asked)
        return self.containers[asked.endpoint](asked)


def _handler(endpoints: Endpoints) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            _, _, name, verb = self.path.split("/")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if endpoints.refusals:
                code, status = endpoints.refusals.pop(0)
                self.reply(status, {"message": code}, {"x-amzn-ErrorType": code})
            elif name not in endpoints.containers:
                words = {"message": f"Endpoint {name} of account 123456789012 not found."}
                self.reply(400, words, {"x-amzn-ErrorType": "ValidationError"})
            elif verb == "invocations":
                self.invoke(name, body)
            else:
                self.enqueue(name)

        def invoke(self, name: str, body: bytes) -> None:
            headers = self.headers
            said = endpoints.ask(Asked(name, body, headers["Content-Type"], headers["Accept"]))
            if said.status == 200:
                self.send(200, said.body, {"Content-Type": said.content_type})
                return
            words = {"OriginalStatusCode": said.status, "OriginalMessage": said.body.decode()}
            self.reply(424, words, {"x-amzn-ErrorType": "ModelError"})

        def enqueue(self, name: str) -> None:
            prefix = "x-amzn-sagemaker-"
            sent = {key.lower().removeprefix(prefix): value for key, value in self.headers.items()}
            ticket = uuid.uuid4().hex
            bucket = sent["inputlocation"].removeprefix("s3://").partition("/")[0]
            item = sent | {
                "endpoint": name,
                "output": f"s3://{bucket}/async/{ticket}.out",
                "failure": f"s3://{bucket}/failed/{ticket}-error.out",
            }
            endpoints.queue.append(item)
            places = {
                "X-Amzn-SageMaker-OutputLocation": item["output"],
                "X-Amzn-SageMaker-FailureLocation": item["failure"],
            }
            self.reply(202, {"InferenceId": sent["inference-id"]}, places)

        def reply(self, status: int, value: Any, headers: Mapping[str, str]) -> None:
            kind = {"Content-Type": "application/json"}
            self.send(status, json.dumps(value).encode(), kind | dict(headers))

        def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            """Tests that fail say enough."""

    return Handler


@contextmanager
def served(endpoints: Endpoints) -> Iterator[str]:
    """Serve the endpoints until the block ends; yields their address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(endpoints))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def resolved(template: validate.Template, value: Any) -> str:
    """Return what CloudFormation would make of a value, at the parameters' defaults."""
    if not isinstance(value, dict):
        return str(value)
    ((function, argument),) = value.items()
    if function == "Ref":
        return _ref(template, argument)
    assert function == "Fn::Sub", value
    for name in (*PSEUDO, *template["Parameters"]):
        if f"${{{name}}}" in argument:
            argument = argument.replace(f"${{{name}}}", _ref(template, name))
    assert "${" not in argument, argument
    return str(argument)


def _ref(template: validate.Template, name: str) -> str:
    if name in PSEUDO:
        return PSEUDO[name]
    if name in template["Parameters"]:
        return str(template["Parameters"][name].get("Default", "models"))
    resource = template["Resources"][name]
    if resource["Type"] == BUCKET_KIND:
        return resolved(template, resource["Properties"]["BucketName"])
    return f"stage-{name.lower()}"


@dataclass(frozen=True)
class Context:
    """What Lambda tells a function of its run; a retry has the same id."""

    aws_request_id: str


@dataclass
class Stage:
    """The template's buckets and table, its functions, and endpoints that tests fill."""

    template: validate.Template
    endpoints: Endpoints

    @property
    def s3(self) -> Any:
        return shared.client("s3")

    def bucket(self, name: str) -> str:
        return _ref(self.template, name)

    def environment(self, *functions: str) -> dict[str, str]:
        """Return the variables that the template gives to functions of one pipeline."""
        known: dict[str, str] = {}
        for name in functions:
            properties = self.template["Resources"][name]["Properties"]
            for key, value in properties["Environment"]["Variables"].items():
                known[key] = resolved(self.template, value)
        return known

    def run(self, name: str, event: Mapping[str, Any], run: str | None = None) -> Any:
        """Run a function once on an event, as Lambda would."""
        handler = self.template["Resources"][name]["Properties"]["Handler"]
        module, _, function = handler.rpartition(".")
        code = getattr(importlib.import_module(module), function)
        return code(event, Context(run or uuid.uuid4().hex))

    def ask(self, name: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """Send a JSON request through the gateway; returns the status and the answer's JSON."""
        text = body if isinstance(body, str) else json.dumps(body)
        event = {"httpMethod": "POST", "headers": {}, "pathParameters": None, "body": text}
        answer = self.run(name, event | more)
        return answer["statusCode"], json.loads(answer["body"])

    def make(self) -> None:
        """Make the template's buckets and table."""
        for name, _ in validate.of_kind(self.template, BUCKET_KIND):
            self.s3.create_bucket(
                Bucket=self.bucket(name),
                CreateBucketConfiguration={"LocationConstraint": REGION},
            )
        for name, properties in validate.of_kind(self.template, "AWS::DynamoDB::Table"):
            table.dynamo().create_table(
                TableName=_ref(self.template, name),
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
