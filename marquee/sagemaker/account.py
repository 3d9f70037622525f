"""Calls to AWS, planned before any is made: a dry run prints them, an account makes them."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker import errors

# An invocation may take 60 s; a second try after a read timeout would only double the load.
RUNTIME = "sagemaker-runtime"
RUNTIME_SECONDS = 70
POLL_SECONDS = 15.0
# Of the cloud on this machine, which takes any credentials.
LOCAL_REGION, STAND_INS = "us-east-1", ("test", "test")
Answer = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A call to AWS.

    Attributes:
        service, operation: by their names in AWS's reference, such as ``CreateEndpoint``.
        parameters: of the operation; a path stands for the file's bytes.
        step: what users see when it is made.
        pending: makes it again and again: says what is still going on by its answer, or nothing;
            raises MarqueeError when that has failed.
        late: what is said when it goes on for too long, with ``{pending}`` and ``{seconds}``.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    step: str = ""
    pending: Callable[[Answer], str] | None = None
    late: str = ""


def unread(member: str, operation: str) -> str:
    """Return the words for what only the answer to a call tells, which a dry run does not make."""
    return f"<{member} of {operation}>"


def as_json(calls: Iterable[Call]) -> list[dict[str, Any]]:
    """Return calls for a dry run, each checked against AWS's own description of it.

    Raises:
        MarqueeError: AWS's operation does not take these parameters.
    """
    session = library("botocore.session").get_session()
    validate = library("botocore.validate").ParamValidator().validate
    lines = []
    for call in calls:
        model = session.get_service_model(call.service).operation_model(call.operation)
        files = {name: b"" for name, value in call.parameters.items() if isinstance(value, Path)}
        report = validate({**call.parameters, **files}, model.input_shape)
        if report.has_errors():
            problems = "; ".join(report.generate_report().splitlines())
            raise MarqueeError(f"{call.operation} cannot be called so: {problems}")
        parameters = {**call.parameters, **{name: str(call.parameters[name]) for name in files}}
        line = {"service": call.service, "operation": call.operation, "parameters": parameters}
        lines.append(line)
    return lines


class Account:
    """An AWS account, by the caller's own configuration (environment, profile, instance role)."""

    def __init__(
        self,
        region: str | None = None,
        profile: str | None = None,
        *,
        address: str | None = None,
        report: Callable[[str], None] = lambda _step: None,
        uploaded: Callable[[int], None] | None = None,
    ) -> None:
        """Take a region and a profile, if not AWS's own, and who hears of steps, sent bytes.

        Args:
            address: of a cloud on this machine, in the place of AWS: no configuration and no
                credentials are looked for then, so that no real account can be reached.
        """
        boto3 = library("boto3")
        with errors.explained("reading the AWS configuration"):
            self._session = (
                boto3.Session(region_name=region, profile_name=profile)
                if address is None
                else boto3.Session(*STAND_INS, region_name=region or LOCAL_REGION)
            )
        self._address = address
        self.report = report
        self._uploaded = uploaded
        self._clients: dict[str, Any] = {}

    def make_all(self, calls: Iterable[Call], timeout: float = 0) -> Answer:
        """Make calls one after the other, and return the last answer.

        Raises:
            MarqueeError: one failed, or has gone on for more than ``timeout`` seconds.
        """
        answer: Answer = {}
        for call in calls:
            if call.step:
                self.report(call.step)
            answer = self.make(call)
            deadline = time.monotonic() + timeout
            while call.pending and (pending := call.pending(answer)):
                self.report(pending)
                if time.monotonic() > deadline:
                    raise MarqueeError(call.late.format(pending=pending, seconds=f"{timeout:.0f}"))
                time.sleep(POLL_SECONDS)
                answer = self.make(call)
        return answer

    def make(self, call: Call) -> Answer:
        """Make a call once; the answer of a list operation has all pages."""
        if call.operation == "PutObject":
            return self._upload(**call.parameters)
        parameters = {
            name: value.read_bytes() if isinstance(value, Path) else value
            for name, value in call.parameters.items()
        }
        answer: Answer
        with errors.explained(call.operation):
            client = self._client(call.service)
            method: str = library("botocore").xform_name(call.operation)
            if client.can_paginate(method):
                answer = client.get_paginator(method).paginate(**parameters).build_full_result()
            else:
                answer = getattr(client, method)(**parameters)
        return answer

    def _upload(self, Body: Path, Bucket: str, Key: str, ContentType: str) -> Answer:  # noqa: N803
        """Put a file into a bucket, a large one in parts."""
        with errors.explained(f"uploading {Body.name} to s3://{Bucket}/{Key}"):
            extra = {"ContentType": ContentType}
            self._client("s3").upload_file(
                str(Body), Bucket, Key, ExtraArgs=extra, Callback=self._uploaded
            )
        return {}

    def link(self, bucket: str, key: str, seconds: int) -> str:
        """Return an address at which anybody can get an object for so long."""
        with errors.explained("making a link"):
            url: str = self._client("s3").generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds
            )
        return url

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            config = library("botocore.config").Config
            own = (
                config(read_timeout=RUNTIME_SECONDS, retries={"total_max_attempts": 1})
                if service == RUNTIME
                else config(retries={"mode": "standard"})
            )
            if self._address is not None:
                own = own.merge(config(proxies={}))
            self._clients[service] = self._session.client(
                service, config=own, endpoint_url=self._address
            )
        return self._clients[service]


def library(name: str) -> ModuleType:
    """Import a part of AWS's SDK, which is an extra."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MarqueeError(
            f"the SageMaker commands need {name.partition('.')[0]}, which is not installed here; "
            "run: .venv/bin/pip install -e '.[aws]'"
        ) from error
