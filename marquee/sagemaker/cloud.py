"""The calls to AWS: made for real by an Account, or only written down by a Rehearsal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from marquee.errors import MarqueeError
from marquee.sagemaker import trouble

Answer = dict[str, Any]
# An invocation may take 60 s; a second try after a read timeout would only double the load.
RUNTIME = "sagemaker-runtime"
RUNTIME_SECONDS = 70


class Cloud(Protocol):
    """What the commands need of AWS."""

    def call(
        self, service: str, operation: str, assumed: Answer | None = None, /, **parameters: Any
    ) -> Answer:
        """Call an operation by its name in AWS's reference, such as ``CreateEndpoint``.

        Args:
            assumed: what a rehearsal takes for the answer.

        Raises:
            MarqueeError: it failed; says what to do.
        """

    def upload(self, path: Path, bucket: str, key: str, content_type: str) -> None:
        """Put a file into a bucket."""

    @property
    def rehearsed(self) -> bool:
        """Whether nothing really happens."""


def every(
    cloud: Cloud, service: str, operation: str, field: str, assumed: list[Any], **parameters: Any
) -> Iterator[Any]:
    """Yield the items of a list operation, page by page."""
    while True:
        answer = cloud.call(service, operation, {field: assumed}, **parameters)
        yield from answer.get(field, [])
        if not answer.get("NextToken"):
            return
        parameters["NextToken"] = answer["NextToken"]


class Account:
    """An AWS account, by the caller's own configuration (environment, profile, instance role)."""

    rehearsed = False

    def __init__(
        self,
        region: str | None = None,
        profile: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Take a region and a profile, if not AWS's own; ``progress`` hears of uploaded bytes."""
        boto3 = _library("boto3")
        with trouble.told("reading the AWS configuration"):
            self._session = boto3.Session(region_name=region, profile_name=profile)
        self._progress = progress
        self._clients: dict[str, Any] = {}

    def call(
        self, service: str, operation: str, _assumed: Answer | None = None, /, **parameters: Any
    ) -> Answer:
        """See :class:`Cloud`."""
        with trouble.told(operation):
            method = getattr(self._client(service), _library("botocore").xform_name(operation))
            answer: Answer = method(**parameters)
        return answer

    def upload(self, path: Path, bucket: str, key: str, content_type: str) -> None:
        """Put a file into a bucket, a large one in parts."""
        with trouble.told(f"uploading {path.name} to s3://{bucket}/{key}"):
            extra = {"ContentType": content_type}
            self._client("s3").upload_file(
                str(path), bucket, key, ExtraArgs=extra, Callback=self._progress
            )

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            config = _library("botocore.config").Config
            own = (
                config(read_timeout=RUNTIME_SECONDS, retries={"total_max_attempts": 1})
                if service == RUNTIME
                else config(retries={"mode": "standard"})
            )
            self._clients[service] = self._session.client(service, config=own)
        return self._clients[service]


class Rehearsal:
    """Writes calls down, checked against AWS's own description of them, and makes none.

    Attributes:
        calls: each with ``service``, ``operation`` and ``parameters``, ready for JSON.
    """

    rehearsed = True

    def __init__(self) -> None:
        """Start with no calls; needs no credentials and no region."""
        self._session = _library("botocore.session").get_session()
        self._validate = _library("botocore.validate").ParamValidator().validate
        self.calls: list[dict[str, Any]] = []

    def call(
        self, service: str, operation: str, assumed: Answer | None = None, /, **parameters: Any
    ) -> Answer:
        """Write a call down and return ``assumed``.

        Raises:
            MarqueeError: AWS's operation does not take these parameters.
        """
        model = self._session.get_service_model(service).operation_model(operation)
        report = self._validate(parameters, model.input_shape)
        if report.has_errors():
            said = "; ".join(report.generate_report().splitlines())
            raise MarqueeError(f"{operation} cannot be called so: {said}")
        self._write(service, operation, parameters)
        return assumed or {}

    def upload(self, path: Path, bucket: str, key: str, content_type: str) -> None:
        """Write an upload down; the body is shown as the file's name."""
        shown = {"Bucket": bucket, "Key": key, "ContentType": content_type, "Body": str(path)}
        self._write("s3", "PutObject", shown)

    def _write(self, service: str, operation: str, parameters: Mapping[str, Any]) -> None:
        call = {"service": service, "operation": operation, "parameters": dict(parameters)}
        if self.calls[-1:] != [call]:  # asking again and again until done is one step
            self.calls.append(call)


def _library(name: str) -> ModuleType:
    import importlib  # noqa: PLC0415

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MarqueeError(
            f"the SageMaker commands need {name.partition('.')[0]}, which is not installed here; "
            "run: .venv/bin/pip install -e '.[aws]'"
        ) from error
