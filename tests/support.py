"""What the tests share: throw-away projects, free ports, a running server and its client."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import torch
import yaml

from marquee import processes
from marquee.project import Project
from marquee.torchserve.tokens import Keys
from tests.golden import synth

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
BIN = Path(sys.executable).parent
# What a developer's activated shell may have set, and must not reach the servers under test.
FOREIGN = re.compile(
    r"TS_.*|VIRTUAL_ENV(_PROMPT)?|TEMP|TMPDIR|LOG_LOCATION|METRICS_LOCATION|SOURCE_DATE_EPOCH"
)
READY_SECONDS = 300
# Options of a Java that ends before the time it took to optimise its code has paid.
SHORT_LIVED = "-XX:TieredStopAtLevel=1"
# Its numbers do not depend on it, and a small part of them stays in the processor's cache.
synth._CHUNK = 1 << 14
# Whether the test that runs bears the mark: no other may start a server.
MARKED = ContextVar("MARKED", default=True)


def check_mark() -> None:
    """Refuse to start a server in a test that `make test-quick` takes for one without."""
    assert MARKED.get(), "this test starts a server: mark it with @pytest.mark.server"


def clean_environment(**extra: str) -> dict[str, str]:
    """Return the environment without TorchServe's variables, with ``extra``."""
    own = {name: value for name, value in os.environ.items() if not FOREIGN.fullmatch(name)}
    return own | extra


def make_project(folder: Path, *models: str) -> Project:
    """Copy the configuration, the runtime and the rooms of ``models`` to a new project."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "config", folder / "config")
    properties = (ROOT / "config.properties").read_text()
    (folder / "config.properties").write_text(
        properties.replace("\nvmargs=", f"\nvmargs={SHORT_LIVED} ")
    )
    (folder / "handlers").mkdir()
    shutil.copyfile(ROOT / "handlers" / "__init__.py", folder / "handlers" / "__init__.py")
    for room in ("runtime", *models):
        shutil.copytree(ROOT / "handlers" / room, folder / "handlers" / room, ignore=ignore)
    (folder / "model_store").mkdir()
    return Project(folder)


def only_version(project: Project, model: str, version: str) -> Project:
    """Take the other versions out of a model's configuration."""
    path = project.handlers / model / "model-config.yaml"
    config = yaml.safe_load(path.read_text())
    listed = config["marquee"]["versions"]
    config["marquee"] |= {"versions": {version: listed[version]}, "default": version}
    path.write_text(yaml.safe_dump(config))
    return project


def golden_state(spec: str, salt: str, gain: float = 1.0) -> dict[str, torch.Tensor]:
    """Return the synthetic weights that golden results were made with."""
    import json  # noqa: PLC0415

    shapes = json.loads((GOLDEN / f"{spec}_state_dict.json").read_text())
    state: dict[str, torch.Tensor] = synth.make_state(shapes, salt=salt, gain=gain, torch=True)
    return state


def marquee(project: Project, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a marquee command in a project, as a user would."""
    return subprocess.run(
        [BIN / "marquee", *words],
        cwd=project.root,
        env=clean_environment(**extra),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def free_ports(count: int) -> list[int]:
    """Return neighbouring ports that are free now.

    They are of this worker's own range, and the system gives none of it to clients: nobody takes
    them before the server that they are for has started.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    width = 22_000 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    lowest = 10_000 + worker % (22_000 // width) * width
    while True:
        first = random.randint(lowest, lowest + width - count)  # noqa: S311 - no secret
        ports = [*range(first, first + count)]
        try:
            for port in ports:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return ports


def server_environment(temp: Path) -> dict[str, str]:
    """Return the variables that give a server its own ports and temporary folder."""
    inference, management, metrics, grpc1, grpc2 = free_ports(5)
    return {
        "TS_INFERENCE_ADDRESS": f"http://127.0.0.1:{inference}",
        "TS_MANAGEMENT_ADDRESS": f"http://127.0.0.1:{management}",
        "TS_METRICS_ADDRESS": f"http://127.0.0.1:{metrics}",
        "TS_GRPC_INFERENCE_PORT": str(grpc1),
        "TS_GRPC_MANAGEMENT_PORT": str(grpc2),
        "TEMP": str(temp),
    }


@dataclass
class Running:
    """A `marquee serve` under test."""

    project: Project
    process: subprocess.Popen[str]
    environment: Mapping[str, str]
    output: Path

    @property
    def inference(self) -> str:
        return self.environment["TS_INFERENCE_ADDRESS"]

    @property
    def keys(self) -> Keys:
        return Keys(self.project.key_file, self.environment["TS_MANAGEMENT_ADDRESS"])

    def client(self) -> httpx.Client:
        """Return a client for the inference address, with a token."""
        headers = {"Authorization": f"Bearer {self.keys.get('inference')}"}
        return httpx.Client(base_url=self.inference, headers=headers, timeout=120, trust_env=False)

    def management(self) -> httpx.Client:
        """Return a client for the management address, with a token."""
        headers = {"Authorization": f"Bearer {self.keys.get('management')}"}
        return httpx.Client(
            base_url=self.environment["TS_MANAGEMENT_ADDRESS"],
            headers=headers,
            timeout=120,
            trust_env=False,
        )

    def metrics(self) -> str:
        """Return what the Prometheus address says."""
        address = self.environment["TS_METRICS_ADDRESS"]
        return httpx.get(f"{address}/metrics", trust_env=False).text

    def describe(self, model: str, version: str) -> dict[str, Any]:
        """Return TorchServe's own description of a version."""
        with self.management() as client:
            answer = client.get(f"/models/{model}/{version}")
        answer.raise_for_status()
        described: dict[str, Any] = answer.json()[0]
        return described

    def worker_pids(self, model: str, version: str) -> list[int]:
        """Return the process ids of a version's workers."""
        return [worker["pid"] for worker in self.describe(model, version)["workers"]]


def command(running: Running, *words: str) -> subprocess.Popen[str]:
    """Start a marquee command for a server."""
    return subprocess.Popen(
        [BIN / "marquee", *words],
        cwd=running.project.root,
        env=clean_environment(**running.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def started(running: Running, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A marquee command for a server, which runs while the block does."""
    with command(running, *words) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def serving(project: Project, *command: str | Path, **extra: str) -> Iterator[Running]:
    """Run `marquee serve` (or ``command``) in a project until the block ends, as a user would."""
    check_mark()
    # Short: a socket in it must have a path of at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="mq-", dir="/tmp") as folder:
        special = server_environment(Path(folder)) | extra
        output = Path(folder) / "output.txt"
        with output.open("w") as sink:
            process = subprocess.Popen(
                [*command] or [BIN / "marquee", "serve"],
                cwd=project.root,
                env=clean_environment(**special),
                stdout=sink,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        running = Running(project, process, special, output)
        try:
            _wait_until_ready(running)
            yield running
        finally:
            _stop(process)


def _wait_until_ready(running: Running) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while "Ctrl-C stops everything" not in running.output.read_text():
        ended = running.process.poll() is not None
        if ended or time.monotonic() > deadline:
            raise AssertionError(f"the server did not start:\n{running.output.read_text()}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C; if that did not end everything the test fails, and we clean up."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(timeout=60)
    finally:
        left = processes.wait_ended(family, 5)
        for one in left:
            one.kill()
    assert not left, f"Ctrl-C left processes running: {left}"
