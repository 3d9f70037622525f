"""An AWS account, in which planned calls are made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker import errors
from marquee.sagemaker.calls import Answer, Call, library

# An invocation may take 60 s; a second try after a read timeout would only double the load.
RUNTIME = "sagemaker-runtime"
RUNTIME_SECONDS = 70
POLL_SECONDS = 15.0


class Account:
    """An AWS account, by the caller's own configuration (environment, profile, instance role)."""

    def __init__(
        self,
        region: str | None = None,
        profile: str | None = None,
        *,
        report: Callable[[str], None] = lambda _step: None,
        uploaded: Callable[[int], None] | None = None,
    ) -> None:
        """Take a region and a profile, if not AWS's own.

        Args:
            report: hears of each step.
            uploaded: hears of uploaded bytes.
        """
        boto3 = library("boto3")
        with errors.explained("reading the AWS configuration"):
            self._session = boto3.Session(region_name=region, profile_name=profile)
        self.report = report
        self._uploaded = uploaded
        self._clients: dict[str, Any] = {}

    def make_all(self, calls: Iterable[Call], timeout: float = 0) -> Answer:
        """Make calls one after the other, and return the last answer.

        Args:
            timeout: seconds for each that waits.

        Raises:
            MarqueeError: one failed, or its wait was too long.
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
        """Make a call once; the answer of a list operation has all pages.

        Raises:
            MarqueeError: it failed; says what to do.
        """
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

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            config = library("botocore.config").Config
            own = (
                config(read_timeout=RUNTIME_SECONDS, retries={"total_max_attempts": 1})
                if service == RUNTIME
                else config(retries={"mode": "standard"})
            )
            self._clients[service] = self._session.client(service, config=own)
        return self._clients[service]
