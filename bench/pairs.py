"""Two operators at once: every pair of commands that change a server, started together.

    .venv/bin/python -m bench.pairs [COMMAND ...] [--seed 1]

Starts its own server with the front door and cifar's versions on free ports, once more whenever a
pair stopped it. After each pair: both commands have ended, with 0 or with a sentence; the default
version is one that a command which succeeded had named, or the one of before; it has workers and
answers; and what a restart would take is what serves. With commands named, only pairs of these.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

from bench.broken import variant
from bench.swap import PICTURES
from marquee.interrupts import until
from marquee.project import Project
from marquee.torchserve import loaded
from marquee.versions import canaries
from tests.support import BIN, Running, make_project, marquee, serving, started

OLD, NEW, SPARE = "1.0", "2.0", "3.0"
SPARE_ARCHIVE = f"cifar-{SPARE}.mar"
# By what each is called in the table; OLD is the default, and NEW was before it.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "swap": ("swap", "cifar", NEW, "--watch", "1s"),
    "rollback": ("rollback", "cifar", "--watch", "1s"),
    "canary": ("canary", "cifar", NEW, "--share", "20%"),
    "promote": ("canary", "cifar", "--promote", "--watch", "1s"),
    "withdraw": ("canary", "cifar", "--withdraw"),
    "retire": ("retire", "cifar", NEW),
    "scale": ("scale", "cifar", "--workers", "2"),
    "register": ("register", SPARE_ARCHIVE),
    "archive": ("archive", "cifar"),
    "reload": ("front", "reload"),
    "stop": ("stop",),
}
# They move the default to NEW.
MOVE = {"swap", "rollback", "promote"}
NEED_CANARY = {"promote", "withdraw"}
ENDED_SECONDS = 120.0
# One of the two is begun so much later than the other, at most: before, in and after its steps.
LATER_SECONDS = 3.0


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        said: its last line on stderr where it failed.
    """

    name: str
    code: int
    said: str

    def __str__(self) -> str:
        return f"{self.name}: {self.said or 'done'}"


def together(running: Running, names: Sequence[str], later: float) -> list[Ended]:
    """Run two commands, the second some seconds after the first."""
    with ExitStack() as held:
        processes = []
        for number, name in enumerate(names):
            processes.append(held.enter_context(started(running, *COMMANDS[name])))
            if not number:
                until(lambda: processes[0].poll() is not None, later)
        return [_ended(*one) for one in zip(names, processes, strict=True)]


def _ended(name: str, process: subprocess.Popen[str]) -> Ended:
    try:
        _, said = process.communicate(timeout=ENDED_SECONDS)
    except subprocess.TimeoutExpired:
        return Ended(name, -1, f"not ended after {ENDED_SECONDS:.0f} s")
    last = said.strip().splitlines()[-1:] if process.returncode else []
    return Ended(name, process.returncode, "".join(last))


def problems(running: Running, ended: Sequence[Ended]) -> Iterator[str]:
    """Yield what should not be after two commands."""
    for one in ended:
        if one.code not in (0, 1) or (one.code and not one.said.startswith("Error: ")):
            yield f"{one.name} ended with {one.code}: {one.said}"
    if not any(one.code == 0 for one in ended):
        yield "both were refused"
    project = running.project
    for path in project.state.glob("*.json"):
        try:
            json.loads(path.read_text())
        except ValueError as error:
            yield f"{path.name} is damaged: {error}"
    if any(one.name == "stop" and one.code == 0 for one in ended):
        if running.process.poll() is None:
            yield "it was stopped, and runs"
        return
    default = _default(running)
    moved = any(one.name in MOVE and one.code == 0 for one in ended)
    expected = NEW if moved else OLD
    if default != expected:
        yield f"the default is {default}, and was told to be {expected}"
    if loaded.defaults(project)["cifar"] != default:
        yield f"a restart would take {loaded.defaults(project)['cifar']}, and {default} serves"
    yield from _unanswered(running, default)


def _unanswered(running: Running, default: str) -> Iterator[str]:
    allowed = {default, *(one.version for one in canaries.load(running.project).values())}
    with running.client() as client:
        for _ in range(10):
            answer = client.post("/predictions/cifar", content=PICTURES[0].read_bytes())
            version = answer.headers.get("x-marquee-version", "").removeprefix("cifar/")
            if answer.status_code != 200:
                yield f"a request got {answer.status_code}: {answer.text[:200]}"
            elif version not in allowed:
                yield f"{version} answered, {sorted(allowed)} should"


def _default(running: Running) -> str:
    with running.management() as client:
        return str(client.get("/models/cifar").json()[0]["modelVersion"])


def prepare(running: Running, names: Sequence[str]) -> None:
    """Bring the server back to where each pair begins."""
    project = running.project
    if canaries.load(project):
        _told(running, "canary", "cifar", "--withdraw")
    if _default(running) != OLD:
        _told(running, "swap", "cifar", OLD, "--watch", "0s")
    with running.management() as client:
        versions = {one["modelVersion"] for one in client.get("/models/cifar/all").json()}
        if SPARE in versions:
            client.delete(f"/models/cifar/{SPARE}").raise_for_status()
    (project.model_store / SPARE_ARCHIVE).unlink(missing_ok=True)
    _told(running, "scale", "cifar", "--workers", "1", "--force")
    if NEED_CANARY & {*names}:
        _told(running, *COMMANDS["canary"])


def _told(running: Running, *words: str) -> None:
    done = marquee(running.project, *words, **running.environment)
    if done.returncode:
        raise RuntimeError(f"marquee {' '.join(words)}: {done.stderr}")


def _project(folder: Path) -> Project:
    made = make_project(folder / "project", "cifar")
    built = marquee(made, "archive")
    if built.returncode:
        raise RuntimeError(built.stderr)
    variant(made.model_store / f"cifar-{NEW}.mar", made.root / SPARE_ARCHIVE, SPARE)
    return made


@contextmanager
def _served(project: Project) -> Iterator[Running]:
    with serving(project, BIN / "marquee", "serve", "--front") as running:
        if canaries.load(project):  # they outlive a restart
            _told(running, "canary", "cifar", "--withdraw")
        # A rollback wants a last swap, from NEW to OLD.
        for version in (NEW, OLD):
            if _default(running) != version:
                _told(running, "swap", "cifar", version, "--watch", "0s")
        yield running


def pairs(names: Sequence[str], chance: random.Random) -> Iterator[tuple[tuple[str, str], float]]:
    """Yield each pair in one of its orders, and how much later its second begins."""
    for pair in combinations_with_replacement(names, 2):
        first, second = chance.sample(pair, 2)
        yield (first, second), chance.choice([0.0, chance.uniform(0, LATER_SECONDS)])


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=", ".join(COMMANDS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if unknown := {*options.commands} - {*COMMANDS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(COMMANDS)}")
    chance = random.Random(options.seed)  # noqa: S311 - no secret
    found = 0
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        project, running = _project(Path(folder)), None
        for names, later in pairs(options.commands or [*COMMANDS], chance):
            if running is None or running.process.poll() is not None:
                held.close()
                running = held.enter_context(_served(project))
            prepare(running, names)
            ended = together(running, names, later)
            wrong = [*problems(running, ended)]
            found += len(wrong)
            told = "; ".join(map(str, ended))
            sys.stdout.write(f"{' + '.join(names)} ({later:.1f} s): {told}\n")
            sys.stdout.writelines(f"    PROBLEM: {one}\n" for one in wrong)
            sys.stdout.flush()
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
