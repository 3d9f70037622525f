"""A pack run as in AWS's container: `serve run config.yaml`, no marquee, no TorchServe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
import yaml

from marquee import processes
from marquee.archives.golden import GoldenRequest
from tests.support import check_mark, clean_environment, free_ports

# Ray's words when its node is not up within 30 seconds, which cannot be set.
SLOW = "timed out during startup"
READY_SECONDS = 180
# What the container lacks; an import of it fails as it does there.
ABSENT = ("marquee", "ts")


def unpack(packed: Path, into: Path) -> Path:
    """Unpack as SageMaker does."""
    with tarfile.open(packed) as archive:
        archive.extractall(into, filter="data")
    return into


@contextmanager
def served(folder: Path, python: Path = Path(sys.executable)) -> Iterator[httpx.Client]:
    """Run an unpacked pack by Ray Serve, in an environment of its own; lend a client."""
    check_mark()
    # Short: Ray's sockets in it must have paths of at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="mqr-", dir="/tmp") as name:
        own, (port,) = Path(name), free_ports(1)
        config = yaml.safe_load((folder / "config.yaml").read_text())
        listening = {"http_options": {"host": "127.0.0.1", "port": port}}
        (own / "config.yaml").write_text(yaml.safe_dump(config | listening))
        _forbid(own)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            client.timeout = httpx.Timeout(60)
            process = _start(folder, own, python)
            try:
                if not _is_ready(client, process, own / "output.txt"):
                    process = _start(folder, own, python)
                    assert _is_ready(client, process, own / "output.txt"), "Ray had no time twice"
                yield client
            finally:
                _stop(process)


def _forbid(own: Path) -> None:
    for name in ABSENT:
        (own / "absent" / name).mkdir(parents=True)
        (own / "absent" / name / "__init__.py").write_text("raise ImportError('it is not here')")


def _start(folder: Path, own: Path, python: Path) -> subprocess.Popen[bytes]:
    environment = clean_environment(
        PYTHONPATH=os.pathsep.join([str(folder), str(folder / "code"), str(own / "absent")]),
        RAY_ADDRESS="local",
        RAY_TMPDIR=str(own),
        RAY_USAGE_STATS_ENABLED="0",
        HOME=str(own),  # Ray keeps a key there
    )
    with (own / "output.txt").open("w") as sink:
        return subprocess.Popen(
            # Not bin/serve: SageMaker's toolkit has a command of that name, too.
            [python, "-m", "ray.serve.scripts", "run", own / "config.yaml"],
            cwd=own,
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _is_ready(client: httpx.Client, process: subprocess.Popen[bytes], output: Path) -> bool:
    """Wait until the pack answers; False if the machine had no time for Ray's node."""
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(client):
        ended = process.poll() is not None
        if ended and SLOW in output.read_text():
            return False
        ended = ended or "DEPLOY_FAILED" in output.read_text()
        if ended or time.monotonic() > deadline:
            raise AssertionError(f"Ray did not start:\n{output.read_text()}")
        time.sleep(0.1)
    return True


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/ping").status_code == 200
    except httpx.HTTPError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=60)
    finally:
        for one in processes.wait_ended(family, 10):
            one.kill()


def as_adapter_sends(request: GoldenRequest) -> Mapping[str, str]:
    """Return the headers of a request to SageMaker's endpoint once AWS's adapter passes it on."""
    special = {"content-type": "application/json", "accept": "application/json"}
    named = {name.lower(): value for name, value in request.headers.items()}
    ours = {name: value for name, value in named.items() if name not in special}
    attributes = ";".join(f"{name}={quote(value)}" for name, value in ours.items())
    own = {"X-Amzn-SageMaker-Custom-Attributes": attributes} if ours else {}
    return own | {name: named.get(name, default) for name, default in special.items()}
