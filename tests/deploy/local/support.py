"""What the tests of the cloud share."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from deploy.local import account, state
from marquee.interrupts import until
from marquee.project import Project
from tests.support import BIN, ROOT, check_mark, clean_environment

START_SECONDS = 300
T = TypeVar("T")


def zipped(**modules: str) -> bytes:
    """Return a function's code: texts of modules by name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in modules.items():
            archive.writestr(f"{name}.py", text)
    return out.getvalue()


def eventually(found: Callable[[], T | None], seconds: float = 30, every: float = 0.1) -> T:
    """Return what ``found`` finds once it finds something."""
    value = until(found, seconds, every)
    assert value, "it never came"
    return value


@dataclass
class UpCloud:
    """A `marquee cloud up` under test."""

    project: Project
    process: subprocess.Popen[str]
    environment: Mapping[str, str]
    known: state.RunningCloud
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return the SDK's client of a service, made once: that takes a tenth of a second."""
        if service not in self.clients:
            self.clients[service] = account.client(service, self.known.address)
        return self.clients[service]

    def command(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a marquee command beside it."""
        return subprocess.run(
            [BIN / "marquee", *words],
            cwd=self.project.root,
            env=clean_environment(**self.environment, **variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def api(self) -> httpx.Client:
        """Return a client of the API, with its key."""
        return httpx.Client(
            base_url=self.known.api_url,
            headers={"x-api-key": self.known.api_key},
            timeout=60,
            trust_env=False,
        )

    def bucket(self, name: str) -> str:
        """Return the name of a bucket of the stack."""
        return self.known.outputs[f"{name}Bucket"]

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Return all jobs of timetravel's table by their ids, numbers and texts unpacked."""
        pages = self.client("dynamodb").get_paginator("scan")
        table = self.known.outputs["JobsTable"]
        items = (one for page in pages.paginate(TableName=table) for one in page["Items"])
        plain = ({key: next(iter(value.values())) for key, value in one.items()} for one in items)
        return {one["RequestId"]: one for one in plain}

    def ended(self, job: str, seconds: float = 60) -> dict[str, Any]:
        """Return a job once it is done or failed."""

        def found() -> dict[str, Any] | None:
            known = self.jobs().get(job)
            return known if known and int(known["CompletionStatus"]) != 0 else None

        return eventually(found, seconds)

    def face(self, name: str, data: bytes | None = None) -> None:
        """Upload a face to timetravel's input prefix."""
        data = example("timetravel").read_bytes() if data is None else data
        self.client("s3").put_object(
            Bucket=self.bucket("Timetravel"), Key=f"input/{name}", Body=data
        )

    def deploy(self, name: str, module: str, **variables: str) -> str:
        """Make a function of one module and return its ARN."""
        made = self.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role="arn:aws:iam::123456789012:role/marquee-CifarRole",
            Handler="lambda_function.lambda_handler",
            Code={"ZipFile": zipped(lambda_function=module)},
            Timeout=60,
            Environment={"Variables": variables},
        )
        return str(made["FunctionArn"])

    def endpoint(self, name: str, model: str, data: str | None = None, **config: Any) -> None:
        """Make an endpoint that stands for ``model``, or for what the package at ``data`` holds."""
        sagemaker = self.client("sagemaker")
        variant = {
            "VariantName": "main",
            "ModelName": f"{name}-model",
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
            "InitialVariantWeight": 1,
        }
        named = {"Environment": {"SAGEMAKER_DEFAULT_MODEL": model}}
        about: dict[str, Any] = {"ModelDataUrl": data} if data else named
        sagemaker.create_model(
            ModelName=f"{name}-model",
            ExecutionRoleArn="arn:aws:iam::123456789012:role/marquee-EndpointRole",
            PrimaryContainer={"Image": "x"} | about,
        )
        sagemaker.create_endpoint_config(
            EndpointConfigName=f"{name}-config", ProductionVariants=[variant], **config
        )
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-config")


def example(model: str) -> Path:
    """Return a model's example."""
    return next(iter((ROOT / "handlers" / model).glob("example.*")))


@contextmanager
def cloud_up(project: Project, environment: Mapping[str, str]) -> Iterator[UpCloud]:
    """Run `marquee cloud up` in a project until the block ends; Ctrl-C must leave nothing."""
    check_mark()
    log = project.root / "up.txt"
    words = ["cloud", "up", "--port", "0", "--api-port", "0"]
    words += ["--parameter", 'TimetravelParameters={"align": false}']
    words += ["--parameter", "RequestsPerSecond=100", "--endpoint", "named=cifar/1.0"]
    with log.open("w") as sink:
        process = subprocess.Popen(
            [BIN / "marquee", *words],
            cwd=project.root,
            env=clean_environment(**environment),
            stdout=sink,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield UpCloud(project, process, environment, _known(project, process, log))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _known(project: Project, process: subprocess.Popen[str], log: Path) -> state.RunningCloud:
    until(lambda: state.running(project) or process.poll() is not None, START_SECONDS)
    known = state.running(project)
    assert known is not None, f"the cloud did not start:\n{log.read_text()}"
    return known


def notice(job: Mapping[str, Any], status: str, **more: Any) -> str:
    """Return what SageMaker would publish about a job's inference."""
    return json.dumps({"inferenceId": job["InferenceId"], "invocationStatus": status, **more})
