"""The cloud as one object: start it, use its addresses, close it."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from deploy.local import account, packages, runtime, state, template
from deploy.local.asynchronous import AsyncRuntime, split
from deploy.local.clock import Clock
from deploy.local.emulator import application, lambda_of, reset, sagemaker
from deploy.local.endpoints import Endpoints, Target
from deploy.local.gateway import Gateway
from deploy.local.lambdas import Lambdas
from deploy.local.runtime import Runtime
from deploy.local.services import Listener, Services
from deploy.local.stack import Stack
from marquee import interrupts
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve import loaded, preflight, server
from marquee.torchserve.inference import Inference

CONNECTIONS = 200  # to TorchServe, at most
TEMPLATE = Path("deploy/aws/template.yaml")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class CloudOptions:
    """How a cloud is started.

    Attributes:
        port, api_port: of the services and of the API; 0 for free ones.
        stack: the stack's name, which its buckets and endpoints begin with.
        parameters: of the template, over those that are derived.
        endpoints: models of endpoints by name, which nothing else tells.
    """

    port: int = 0
    api_port: int = 0
    stack: str = "marquee"
    parameters: Mapping[str, str] = field(default_factory=dict)
    endpoints: Mapping[str, Target] = field(default_factory=dict)


class Cloud:
    """A cloud of a project, in this process.

    Use it as a context manager: :meth:`start` it inside, and all that it has started ends with
    the block.
    """

    def __init__(self, project: Project, options: CloudOptions | None = None) -> None:
        self.project = project
        self.options = options or CloudOptions()
        self.clock = Clock()
        self._closing = ExitStack()

    def __enter__(self) -> Cloud:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, progress: Progress = lambda _: None) -> state.RunningCloud:
        """Start everything and return its addresses.

        Raises:
            MarqueeError: something cannot be started; the message says what to do.
        """
        if other := state.running(self.project):
            raise MarqueeError(
                f"a cloud of this project runs already (process {other.pid}); use it, or stop it: "
                "marquee cloud down"
            )
        payload = self._payload()
        state.down(self.project)  # what an earlier one has left
        started = self._start_server(progress)
        progress("services")
        temp = Path(tempfile.mkdtemp(prefix="marquee-cloud-"))
        self._closing.callback(shutil.rmtree, temp, ignore_errors=True)
        self._log()
        lambdas = Lambdas(temp, self.project.logs / "cloud", self.clock)
        self._closing.callback(reset)
        services = Services(application(lambdas), self.clock)
        self.services = Listener(self.options.port, services, "--port")
        self._closing.callback(self.services.close)
        lambdas.address = self.services.address
        self._closing.callback(lambdas.close)
        self.stack = self._create_stack(progress)
        self._invocations(services, payload)
        self._gateway(lambdas)
        if started is not None:
            started.wait_ready(lambda model: progress(f"model {model[0]} {model[1]}"))
        return self._remember(temp, owns_server=started is not None)

    def close(self) -> None:
        """End everything that was started; a second Ctrl-C must not cut that short."""
        with interrupts.ignored():
            self._closing.close()

    def _start_server(self, progress: Progress) -> server.Server | None:
        """Start TorchServe, which loads its models meanwhile, or take the one that runs."""
        if server.running_pid(self.project) is not None:
            progress("TorchServe that runs already")
            return None
        progress("TorchServe")
        preflight.check(self.project)
        self._closing.callback(server.stop, self.project)
        return server.start(self.project)

    def _create_stack(self, progress: Progress) -> Stack:
        path = self.project.root / TEMPLATE
        served = {Target(*model) for model in loaded.models(self.project)}
        wanted = packages.parameters(self.project, template.source(path), served)
        s3 = account.client("s3", self.services.address)
        packages.upload(s3, wanted.values())
        parameters = {name: packages.key(target) for name, target in wanted.items()}
        parameters |= {packages.BUCKET_PARAMETER: packages.BUCKET, **self.options.parameters}
        stack = Stack(path, self.options.stack, parameters, self.services.address)
        stack.create(progress)
        return stack

    def _invocations(self, services: Services, payload: int) -> None:
        address = self.services.address
        s3, sns = account.client("s3", address), account.client("sns", address)
        inference = self._closing.enter_context(Inference.of(self.project, most=CONNECTIONS))
        served = {name for name, _ in loaded.models(self.project)}
        endpoints = Endpoints(sagemaker, partial(_object, s3), served, self.options.endpoints)
        answers = Runtime(endpoints, inference, self.clock, payload=payload)
        later = AsyncRuntime(answers, s3, sns)
        self._closing.callback(later.queues.close)
        services.answer("invocations", answers.invoke)
        services.answer("async-invocations", later.invoke)

    def _payload(self) -> int:
        """Return how large a request of a real-time endpoint may be, which functions know too."""
        text = self.options.parameters.get(runtime.PAYLOAD_PARAMETER)
        if text is None:
            path = self.project.root / TEMPLATE
            declared = template.source(path).get("Parameters", {}) if path.is_file() else {}
            text = declared.get(runtime.PAYLOAD_PARAMETER, {}).get("Default", runtime.PAYLOAD_BYTES)
        if not str(text).isdecimal() or int(text) == 0:
            raise MarqueeError(
                f"--parameter {runtime.PAYLOAD_PARAMETER}={text}: a number of bytes is expected, "
                f"such as {runtime.PAYLOAD_BYTES}"
            )
        return int(text)

    def _gateway(self, lambdas: Lambdas) -> None:
        def run(arn: str, event: Any) -> Any:
            return lambdas.run(lambda_of(arn), event)

        api, keys = self.stack.api(), self.stack.api_keys()
        application = Gateway(api, keys, run)
        self._closing.callback(application.close)
        listener = Listener(self.options.api_port, application, "--api-port")
        self._closing.callback(listener.close)
        self.api_url = f"{listener.address}/{api.stage}"
        self.api_key = keys[0] if keys else ""

    def _log(self) -> None:
        """Write down, in logs/cloud/cloud.log, what goes wrong where nobody waits for an answer."""
        folder = self.project.logs / "cloud"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        handler = logging.FileHandler(folder / "cloud.log")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        ours = logging.getLogger("deploy.local")
        ours.addHandler(handler)
        ours.propagate = False
        self._closing.callback(handler.close)
        self._closing.callback(ours.removeHandler, handler)

    def _remember(self, temp: Path, *, owns_server: bool) -> state.RunningCloud:
        outputs = self.stack.outputs | {"ApiUrl": self.api_url}
        self.stack.register(outputs)
        known = state.RunningCloud(
            pid=os.getpid(),
            born=psutil.Process().create_time(),
            address=self.services.address,
            api_url=self.api_url,
            api_key=self.api_key,
            temp=str(temp),
            owns_server=owns_server,
            outputs=outputs,
        )
        state.write(self.project, known)
        self._closing.callback(state.forget, self.project)
        return known


def _object(s3: Any, url: str) -> bytes | None:
    """Return an object, or None if it is not there."""
    bucket, key = split(url)
    try:
        data: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.ClientError:
        return None
    return data
