"""How a server is started and asked: what all contenders have in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marquee.torchserve import java
from tests.support import ROOT, clean_environment

DEMO = ROOT / "handlers" / "cifar" / "demo"
VERSIONS = {"lenet": "1.0", "vgg11": "2.0"}
BOUNDARY = "the-picture-ends-here"


@dataclass(frozen=True)
class Setting:
    """What is served by everybody.

    Attributes:
        folder: of this run; contenders make theirs in it.
        network: lenet or vgg11, with cifar's demo weights.
    """

    folder: Path
    network: str

    @property
    def weights(self) -> Path:
        """The weight file."""
        return DEMO / f"{self.network}.pth"

    def own_folder(self, name: str) -> Path:
        """Return a contender's folder, made if it is not there."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def environment(self, **extra: str) -> dict[str, str]:
        """Return the variables of a server that runs code of this folder."""
        own = {
            "PYTHONPATH": str(ROOT),
            "BENCH_WEIGHTS": str(self.weights),
            "JAVA_HOME": str(java.find_home()),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        inherited = clean_environment()
        inherited.pop("OMP_WAIT_POLICY", None)  # of the tests
        return inherited | own | extra


@dataclass(frozen=True)
class Asked:
    """A request's body, and the headers that go with it."""

    body: bytes
    headers: Mapping[str, str]


def plain(body: bytes) -> Asked:
    """Send the file as it is."""
    return Asked(body, {"Content-Type": "application/octet-stream"})


def as_form(body: bytes) -> Asked:
    """Send the file as the field `picture` of a form."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="picture"; filename="picture"'
    head += "\r\nContent-Type: application/octet-stream\r\n\r\n"
    content = head.encode() + body + f"\r\n--{BOUNDARY}--\r\n".encode()
    return Asked(content, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})


@dataclass(frozen=True)
class Start:
    """A server, ready to be started.

    Attributes:
        command, folder, environment: of the process.
        port, path: where pictures go, on 127.0.0.1.
        wrapped: makes a request of a file.
        headers: that every request needs; asked when the server is up.
        frozen: whether it is stopped in its tracks while others are measured.
    """

    command: Sequence[str | Path]
    folder: Path
    environment: Mapping[str, str]
    port: int
    path: str = "/predict"
    wrapped: Callable[[bytes], Asked] = plain
    headers: Callable[[], Mapping[str, str]] = dict
    frozen: bool = True

    @property
    def url(self) -> str:
        """Where pictures go."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    def asked(self, body: bytes) -> Asked:
        """Return the whole request of a file."""
        asked = self.wrapped(body)
        return Asked(asked.body, {**asked.headers, **self.headers()})
