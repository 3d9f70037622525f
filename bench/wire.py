"""A worker process of TorchServe's, started and asked as TorchServe does, without its Java.

What a handler costs is seen best where nothing else runs: requests go in over the worker's own
socket, in TorchServe's binary protocol, and its log lines are read as Java reads them.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import ts

from tests.support import ROOT, clean_environment

PROGRAM = Path(ts.__file__).parent / "model_service_worker.py"
STARTED = "Torch worker started."
# What a client sends beside its own, and what TorchServe adds.
HEADERS = {"Host": "127.0.0.1:8080", "Authorization": "Bearer AbCdEfGh", "Accept": "*/*"}


class WireWorker:
    """One worker process with one model.

    Attributes:
        lines: that it has logged so far; TorchServe reads and parses each.
    """

    def __init__(self, folder: Path, handler: str, batch: int, temp: Path, **env: str) -> None:
        """Start it and load ``handler``, a file in the unpacked archive ``folder``."""
        address = temp / f"{folder.name}.9000"
        own = folder / "metrics.yaml"
        metrics = own if own.is_file() else ROOT / "config" / "metrics.yaml"
        options = {"type": "unix", "name": str(address)}
        words = [f"--sock-{name}={value}" for name, value in options.items()]
        environment = clean_environment()
        environment.pop("OMP_WAIT_POLICY", None)  # of the tests' own; a plain server has none
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *words, f"--metrics-config={metrics}"],
            cwd=folder,
            env=environment | env | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = 0
        self.said: list[str] = []
        self._started = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        if not self._started.wait(60):
            sys.exit("".join(self.said))
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(address))
        self._answers = self._socket.makefile("rb")
        names = (folder.name.encode(), str(folder).encode())
        message = b"L" + b"".join(map(_sized, names)) + struct.pack("!i", batch)
        message += _sized(handler.encode()) + struct.pack("!i", -1) + _sized(b"") + b"\0"
        self._socket.sendall(message)
        code, _ = self._answer()
        if code != 200:
            sys.exit("".join(self.said))

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines += 1
            if len(self.said) < 2000:
                self.said.append(line)
            if STARTED in line:
                self._started.set()

    def ask(self, message: bytes) -> list[tuple[int, bytes]]:
        """Send a prepared batch; return status and body of each answer."""
        self._socket.sendall(message)
        return self._answer()[1]

    def _answer(self) -> tuple[int, list[tuple[int, bytes]]]:
        stream = self._answers
        code = _number(stream)
        stream.read(_number(stream))
        answers = []
        while (length := _number(stream)) >= 0:
            stream.read(length)
            stream.read(_number(stream))  # content type
            status = _number(stream)
            stream.read(_number(stream))
            for _ in range(2 * _number(stream)):
                stream.read(_number(stream))
            answers.append((status, stream.read(_number(stream))))
        return code, answers

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all its threads so far."""
        return cpu_seconds(self.process.pid)

    def close(self) -> None:
        """End it."""
        self._answers.close()
        self._socket.close()
        self.process.kill()
        self.process.wait()


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of all of a process' threads, to the nanosecond (Linux)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def batch_message(bodies: Sequence[bytes], headers: Mapping[str, str]) -> bytes:
    """Return the bytes with which TorchServe hands a batch to its worker."""
    message = bytearray(b"I")
    for body in bodies:
        message += _sized(b"6d8c4ae3-0b1f-4e34-9e9c-0f2a6d8e5f11")
        for name, value in {**HEADERS, "Content-Length": str(len(body)), **headers}.items():
            message += _sized(name.encode()) + _sized(value.encode())
        message += struct.pack("!i", -1)
        message += _sized(b"body") + _sized(headers.get("Content-Type", "").encode())
        message += _sized(body) + struct.pack("!i", -1)
    return bytes(message + struct.pack("!i", -1))


def timed(worker: WireWorker, message: bytes, seconds: float) -> dict[str, Any]:
    """Ask for ``seconds``, at least once; return the milliseconds and lines of each batch."""
    took: list[float] = []
    cpu, lines = worker.cpu_seconds(), worker.lines
    end = time.perf_counter() + seconds
    while not took or time.perf_counter() < end:
        start = time.perf_counter()
        answers = worker.ask(message)
        took.append(time.perf_counter() - start)
        if any(status != 200 for status, _ in answers):
            sys.exit(str(answers[:1]))
    cpu = worker.cpu_seconds() - cpu
    return {"ms": took, "cpu": cpu / len(took), "lines": (worker.lines - lines) / len(took)}


def _sized(data: bytes) -> bytes:
    return struct.pack("!i", len(data)) + data


def _number(stream: BinaryIO) -> int:
    data = stream.read(4)
    if len(data) != 4:
        sys.exit("the worker closed its socket")
    number: int = struct.unpack("!i", data)[0]
    return number
