"""Where the entry point runs under test: as a process here, or in the image.

MARQUEE_IMAGE names an image to test; then the very same tests run in containers of it, as
a non-root user, on a read-only root file system, without capabilities.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from marquee import processes
from tests.support import SHORT_LIVED, check_mark, clean_environment, free_ports

# Sends back what it gets; after so many seconds as its one parameter says, if it says.
ECHO = """
import time

def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    if content_type == "text/seconds":
        time.sleep(float(bytes(data).decode()))
    return bytes(data), "application/octet-stream"
"""

IMAGE = os.environ.get("MARQUEE_IMAGE")
ENGINE = os.environ.get("MARQUEE_ENGINE", "docker")
READY_SECONDS = 120
STOP_SECONDS = 60
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp:exec", "--cap-drop", "all"),  # noqa: S108
    *("--security-opt", "no-new-privileges"),
)


def clean() -> dict[str, str]:
    """Return the environment without anything that the entry point reads."""
    own = clean_environment()
    return {name: value for name, value in own.items() if not name.startswith("SAGEMAKER_")}


def open_to_all(folder: Path) -> None:
    """Let the container's user read and write what root has written."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o777 if path.is_dir() else 0o666)


@dataclass
class Served(ABC):
    """A running ``serve``.

    Attributes:
        port: where it answers.
        base: its /opt/ml, as seen from here.
        log: the file that has what it prints.
    """

    port: int
    base: Path
    log: Path

    def client(self) -> httpx.Client:
        """Return a client for it."""
        url = f"http://127.0.0.1:{self.port}"
        return httpx.Client(base_url=url, timeout=120, trust_env=False)

    def inside(self, path: Path) -> str:
        """Return how a file below ``base`` is called inside."""
        return str(path)

    def printed(self) -> str:
        """Return what it has printed so far."""
        return self.log.read_text(errors="replace")

    def ping(self) -> int:
        """Return the status of /ping, 0 where nobody answers."""
        try:
            with self.client() as client:
                return client.get("/ping").status_code
        except httpx.TransportError:
            return 0

    @abstractmethod
    def running(self) -> bool:
        """Whether it has not ended."""

    @abstractmethod
    def terminate(self) -> None:
        """Send SIGTERM."""

    @abstractmethod
    def wait(self) -> int:
        """Return its exit code when it has ended."""


@dataclass
class ServedProcess(Served):
    """As a process on this machine."""

    process: subprocess.Popen[str]

    def running(self) -> bool:
        return self.process.poll() is None

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        return self.process.wait(STOP_SECONDS)


@dataclass
class ServedImage(Served):
    """In a container."""

    name: str

    def inside(self, path: Path) -> str:
        return f"/opt/ml/{path.relative_to(self.base)}"

    def printed(self) -> str:
        done = engine("logs", self.name)
        return done.stdout + done.stderr

    def running(self) -> bool:
        return engine("inspect", "-f", "{{.State.Running}}", self.name).stdout.strip() == "true"

    def terminate(self) -> None:
        engine("kill", "--signal", "TERM", self.name)

    def wait(self) -> int:
        return int(engine("wait", self.name).stdout)


def engine(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run docker or podman."""
    done = subprocess.run(
        [ENGINE, *words], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0 or not check, done.stderr
    return done


@contextmanager
def serving(base: Path, **variables: str) -> Iterator[Served]:
    """Run ``serve`` with ``base`` as /opt/ml until the block ends; it is ready when it begins."""
    with starting(base, **variables) as served:
        deadline = time.monotonic() + READY_SECONDS
        while served.ping() != 200:
            assert served.running(), served.printed()
            assert time.monotonic() < deadline, served.printed()
            time.sleep(0.05)
        yield served


@contextmanager
def starting(base: Path, **variables: str) -> Iterator[Served]:
    """Run ``serve`` until the block ends; it has just been started when it begins."""
    check_mark()
    port = free_ports(5)[0]
    open_to_all(base)
    run = _in_image if IMAGE else _as_process
    with run(base, port, variables) as served:
        yield served


def sent_side_by_side(
    pool: Executor, count: int, served: Served, path: str, seconds: bytes
) -> list[Future[httpx.Response]]:
    """Ask for answers that take so long, and return when the server has been sent all of it."""
    sent = threading.Semaphore(0)

    def note(event: str, _: object) -> None:
        if event == "http11.send_request_body.complete":
            sent.release()

    def ask() -> httpx.Response:
        with served.client() as client:
            headers = {"Content-Type": "text/seconds"}
            traced = {"trace": note}
            return client.post(path, content=seconds, headers=headers, extensions=traced)

    asked = [pool.submit(ask) for _ in range(count)]
    assert all(sent.acquire(timeout=60) for _ in range(count))
    time.sleep(0.3)  # for what lies between the client's socket and the queue
    return asked


@contextmanager
def _as_process(base: Path, port: int, variables: dict[str, str]) -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="mq-", dir="/tmp") as temp:
        environment = clean() | {
            "TEMP": temp,
            "SAGEMAKER_BASE_DIR": str(base),
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "SAGEMAKER_SAFE_PORT_RANGE": f"{port + 1}-{port + 4}",
            "SAGEMAKER_MODEL_SERVER_VMARGS": SHORT_LIVED,
        }
        log = Path(temp) / "output.txt"
        with log.open("w") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "marquee.container", "serve"],
                env=environment | variables,
                stdout=sink,
                stderr=subprocess.STDOUT,
                text=True,
            )
        try:
            yield ServedProcess(port, base, log, process)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Send SIGTERM; if that does not end everything the test fails, and we clean up."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    finally:
        left = processes.wait_ended(family, 5)
        for one in left:
            one.kill()
    assert not left, f"SIGTERM left processes running: {left}"


@contextmanager
def _in_image(base: Path, port: int, variables: dict[str, str]) -> Iterator[Served]:
    words = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
    name = f"marquee-test-{port}"
    assert IMAGE is not None
    places = ("-p", f"127.0.0.1:{port}:8080", "-v", f"{base}:/opt/ml:ro")
    engine("run", "-d", "--name", name, *HARDENED, *places, *words, IMAGE, "serve")
    try:
        yield ServedImage(port, base, Path(), name)
    finally:
        engine("stop", "-t", str(STOP_SECONDS), name, check=False)
        engine("rm", "-f", name, check=False)


def train(base: Path) -> tuple[int, str]:
    """Run ``train`` with ``base`` as /opt/ml; return its exit code and what it printed."""
    open_to_all(base)
    if IMAGE:
        command = [ENGINE, "run", "--rm", *HARDENED, "-v", f"{base}:/opt/ml", IMAGE, "train"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        return done.returncode, done.stdout + done.stderr
    with tempfile.TemporaryDirectory(prefix="mq-", dir="/tmp") as temp:
        done = subprocess.run(
            [sys.executable, "-m", "marquee.container", "train"],
            env=clean() | {"TEMP": temp, "SAGEMAKER_BASE_DIR": str(base), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    return done.returncode, done.stdout + done.stderr
