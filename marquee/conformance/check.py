"""``marquee check``: the conformance suite on a handler, without a server, in seconds."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from marquee.archives import build as archive
from marquee.archives import rooms, trial
from marquee.archives.inspection import inspect
from marquee.archives.store import find_archive
from marquee.conformance.subject import FAILED, CheckResult
from marquee.conformance.suite import NAMES, SILENCE
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.scratch import scratch

# Of one archive; the largest models on two slow cores take minutes.
TIMEOUT_SECONDS = 1800


@dataclass(frozen=True)
class CheckReport:
    """What came of all checks of one archive.

    Attributes:
        name: such as ``cifar 2.0``.
        results: in the order of the checks.
        log: what the worker said on stderr.
    """

    name: str
    results: tuple[CheckResult, ...]
    log: str

    @property
    def failed(self) -> list[CheckResult]:
        """The checks that failed."""
        return [result for result in self.results if result.outcome == FAILED]


def check(project: Project, named: str) -> list[CheckReport]:
    """Check every version of a model of the project, or one archive.

    Args:
        project: with the model, or the model store.
        named: a model's name; ``<model>-<version>`` or a path of an archive.

    Raises:
        MarqueeError: there is no such model or archive, it cannot be built, or is not safe.
    """
    with scratch() as aside:
        return [check_archive(path) for path in _archives(project, named, aside)]


def check_archive(path: Path) -> CheckReport:
    """Check one archive.

    Raises:
        MarqueeError: it is not safe, or damaged.
    """
    inspection = inspect(path)
    with scratch() as folder:
        unpacked = folder / "unpacked"
        with zipfile.ZipFile(path) as packed:
            packed.extractall(unpacked)
        results, log = _run(unpacked, path.resolve(), folder / "results")
    return CheckReport(f"{inspection.model} {inspection.version}", results, log)


def _archives(project: Project, named: str, aside: Path) -> list[Path]:
    """Return the archives that a name stands for; those that are out of date are built aside."""
    if named in rooms.names(project):
        return [
            archive.up_to_date(project, version)
            or archive.build(project, version, store=aside).path
            for version in rooms.versions(project, named)
        ]
    try:
        return [find_archive(project.model_store, named)]
    except MarqueeError as error:
        known = ", ".join(rooms.names(project)) or "none"
        raise MarqueeError(
            f"there is no model '{named}' (the models are: {known}); {error}"
        ) from error


def _run(folder: Path, path: Path, out: Path) -> tuple[tuple[CheckResult, ...], str]:
    """Run the checks in a process of their own and return their results and its stderr."""
    log = out.with_suffix(".log")
    with log.open("w") as sink:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "marquee.conformance", str(folder), str(path), str(out)],
                env=trial.environment(folder),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
            ended = f"its process ended with {done.returncode}"
        except subprocess.TimeoutExpired:
            ended = f"it did not end within {TIMEOUT_SECONDS} seconds"
    lines = out.read_text().splitlines() if out.is_file() else []
    results = [CheckResult(**json.loads(line)) for line in lines]
    return (*results, *_missing(results, ended)), log.read_text(errors="replace")


def _missing(results: list[CheckResult], ended: str) -> list[CheckResult]:
    """Return a failure for the check during which the process ended, if it did."""
    known = {result.check for result in results}
    stopped_at_load = len(results) == 1 and results[0].outcome == FAILED
    if SILENCE in known or stopped_at_load:
        return []
    during = next(name for name in NAMES if name not in known)
    return [CheckResult(during, FAILED, f"{ended} during this check; the rest was not run")]
