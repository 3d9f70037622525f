"""How long until `make serve` is ready with nothing to build, and where the time goes.

    make archive
    .venv/bin/python -m bench.ready [--rounds 3]

Runs what `make serve` runs, in this folder, with ports and a temporary folder of its own; then
starts each model's worker alone, without Java. The longest of these is the slowest model's own
load; their CPU seconds together, over the cores, are what no order of starting can pass.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from bench.machine import Usage, cores
from bench.wire import WireWorker
from marquee.project import Project
from marquee.torchserve.server import pid_file
from tests.support import BIN, ROOT, clean_environment, server_environment

READY = "Ready:"


@dataclass(frozen=True)
class Alone:
    """One worker's own start: seconds and CPU seconds, to the loaded model."""

    name: str
    seconds: float
    cpu: float


def started_alone(archive: Path, temp: Path) -> Alone:
    """Start an archive's worker with nobody beside it."""
    folder = temp / archive.stem
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    begin = time.perf_counter()
    worker = WireWorker(folder, "handler.py", 1, temp, OMP_WAIT_POLICY="PASSIVE")
    took, cpu = time.perf_counter() - begin, worker.cpu_seconds()
    worker.close()
    return Alone(archive.stem, took, cpu)


def phases(temp: Path) -> dict[str, float]:
    """Build nothing, serve, stop; return the seconds until each step was done."""
    environment = clean_environment(
        **server_environment(temp), LOG_LOCATION=str(temp / "logs"), METRICS_LOCATION=str(temp)
    )
    usage, begin = Usage.now(), time.time()
    subprocess.run([BIN / "marquee", "archive"], cwd=ROOT, env=environment, check=True)
    archived = time.time()
    process = subprocess.Popen(
        [BIN / "marquee", "serve"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        ready = _ready(process)
        spent = Usage.now().machine - usage.machine
        project = Project(ROOT, environ=environment)
        java = psutil.Process(int(pid_file(project).read_text()))
        workers = [child.create_time() for child in java.children()]
        moments = {
            "archives looked through": archived,
            "Java started": java.create_time(),
            "first worker process started": min(workers),
            "last worker has imported torch": _last(temp / "logs/model_log.log", "worker started"),
            "last model loaded": _last(temp / "logs/ts_log.log", "-> WORKER_MODEL_LOADED"),
            "ready": ready,
        }
        return {what: at - begin for what, at in moments.items()} | {"CPU seconds of all": spent}
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()


def _ready(process: subprocess.Popen[str]) -> float:
    for line in process.stdout or ():
        if READY in line:
            return time.time()
    sys.exit(f"marquee serve ended with {process.wait()}")


def _last(log: Path, sign: str) -> float:
    """Return when the last line with a sign was written, as Unix time."""
    line = [one for one in log.read_text().splitlines() if sign in one][-1]
    return datetime.strptime(line.split()[0], "%Y-%m-%dT%H:%M:%S,%f").timestamp()


def main() -> None:
    """Print the phases, and each model's own load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds: list[dict[str, float]] = []
    own: dict[str, list[Alone]] = {}
    for _ in range(parser.parse_args().rounds):
        # Short: sockets in it have paths of at most 107 bytes.
        with tempfile.TemporaryDirectory(prefix="mq-", dir="/tmp") as folder:
            rounds.append(phases(Path(folder)))
            for archive in sorted((ROOT / "model_store").glob("*.mar")):
                alone = started_alone(archive, Path(folder))
                own.setdefault(alone.name, []).append(alone)
    seconds = {name: statistics.median(one.seconds for one in many) for name, many in own.items()}
    cpu = {name: statistics.median(one.cpu for one in many) for name, many in own.items()}
    for name in own:
        _print(f"{name} alone", f"{seconds[name]:.2f} s, {cpu[name]:.2f} CPU s")
    for what in rounds[0]:
        values = sorted(one[what] for one in rounds)
        spread = f"({values[0]:.2f} to {values[-1]:.2f})"
        _print(what, f"{statistics.median(values):.2f} s {spread}")
    ready, bound = statistics.median(one["ready"] for one in rounds), sum(cpu.values()) / cores()
    _print("ready over the slowest own load", f"{ready / max(seconds.values()):.2f}")
    _print(f"ready over the workers' CPU on {cores()} cores", f"{ready / bound:.2f}")


def _print(what: str, found: str) -> None:
    sys.stdout.write(f"{what:<40} {found}\n")


if __name__ == "__main__":
    main()
