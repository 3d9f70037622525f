"""Commands that are killed at any step, one after the other: what the next one finds is whole.

The server is a pretended one; killed is a command by an exception that nothing of ours catches,
before and after each call of the server and each write of a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marquee import files, state
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve.management import Management, Version
from marquee.versions import candidate, change, drain, guard, history, journal, recovery
from marquee.versions.candidate import Candidate
from marquee.versions.history import silent
from marquee.versions.judgement import SwapPolicy
from marquee.versions.swap import rollback, swap
from tests.marquee.versions.fake import FakeServer

QUICK = SwapPolicy(watch_seconds=0)
# What a command may be, and after how many points it is killed; never, if None.
COMMANDS = st.tuples(
    st.sampled_from(["1.0", "2.0", "rollback"]), st.none() | st.integers(min_value=0, max_value=40)
)


class Silent:
    """Asks nothing while a version is watched."""

    problem = None

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


class Killed(BaseException):
    """What stands for SIGKILL."""


class World:
    """A server with a model, and who kills its commands.

    Attributes:
        left: points until the command is killed; None for never.
        passed: points so far.
    """

    def __init__(self) -> None:
        self.workers = {"1.0": 2}
        self.default_version = "1.0"
        self.left: int | None = None
        self.passed = 0

    def point(self) -> None:
        """Come to a point at which a command may be killed."""
        assert self.workers[self.default_version] > 0, "nobody serves"
        self.passed += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    @contextmanager
    def between(self) -> Iterator[None]:
        """A point before the block, and one after it."""
        self.point()
        yield
        self.point()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def describe(self, _: str, version: str) -> Version | None:
        if version not in self.workers:
            return None
        pids = range(self.workers[version])
        workers = [{"id": n, "pid": n, "status": "READY"} for n in pids]
        about: dict[str, Any] = {"modelVersion": version, "minWorkers": self.workers[version]}
        return Version.of({**FakeServer().describe(), **about, "workers": workers})

    def known(self, model: str) -> Version:
        found = self.describe(model, self.default_version)
        assert found is not None
        return found

    def models(self) -> list[str]:
        return ["m", "another"]

    def default(self, _: str) -> str:
        return self.default_version

    def register(self, archive: str) -> None:
        with self.between():
            self.workers[archive.removeprefix("m-").removesuffix(".mar")] = 1

    def unregister(self, _: str, version: str) -> None:
        with self.between():
            assert version != self.default_version, "the default is not unregistered"
            del self.workers[version]

    def set_default(self, _: str, version: str) -> None:
        with self.between():
            self.default_version = version

    def scale(self, _: str, version: str, workers: int) -> None:
        with self.between():
            self.workers[version] = workers


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    """What stands between the commands and a server is not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)  # the machine stays up
        patch.setattr(guard, "watching", lambda *_: nullcontext())
        patch.setattr(drain, "drain", lambda *_, **__: None)
        patch.setattr(
            drain, "remove_workers", lambda api, model, version: api.scale(model, version, 0)
        )
        patch.setattr(candidate, "find", _found)
        # Nobody is asked anything: archives without a request are swapped.
        patch.setattr(change, "Inference", SimpleNamespace(of=lambda _: nullcontext()))
        patch.setattr(change, "RepeatedAsker", lambda *_: Silent())
        for module in (change, recovery):
            patch.setattr(module, "wait_loaded", lambda _, api, *of, **__: api.describe(*of))
        yield patch


def _found(project: Project, model: str, version: str) -> Candidate:
    return Candidate(model, version, project.model_store / f"{model}-{version}.mar", "digest")


@pytest.fixture(scope="module")
def new_world(
    patched: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], tuple[Project, World]]:
    """Return a maker of projects with a server each."""
    numbers = count()
    folder = tmp_path_factory.mktemp("killed")
    write = files.write_private

    def made() -> tuple[Project, World]:
        world = World()
        root = folder / str(next(numbers))
        for part in (root, root / "config", root / "model_store", root / "logs"):
            part.mkdir()
        (root / "config.properties").write_text("")

        def write_private(target: Path, text: str) -> None:
            with world.between():
                write(target, text)

        patched.setattr(Management, "of", lambda _: world)
        patched.setattr(state, "write_private", write_private)
        return Project(root, environ={}), world

    return made


def run(project: Project, world: World, command: str, left: int | None) -> bool:
    """Run a command, killed after so many points; tell whether it came to its end."""
    world.left = left
    try:
        if command == "rollback":
            rollback(project, "m", QUICK)
        else:
            swap(project, "m", command, QUICK)
    except (Killed, MarqueeError):
        return False
    finally:
        world.left = None
    return True


def check(project: Project, world: World) -> None:
    """Let the next command put right what is left, and look at all of it."""
    with recovery.settled(project, "m", silent):
        pass
    assert journal.unfinished(project, "m") is None
    assert world.workers[world.default_version] > 0
    # What a restart would take.
    assert state.chosen_defaults(project).get("m", "1.0") == world.default_version
    assert not [*project.state.glob(".*.part")]
    history.read(project)


@settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(commands=st.lists(COMMANDS, max_size=6))
def test_commands_that_are_killed_one_after_the_other(
    new_world: Callable[[], tuple[Project, World]], commands: list[tuple[str, int | None]]
) -> None:
    project, world = new_world()
    for command, left in commands:
        if run(project, world, command, left) and command != "rollback":
            assert world.default_version == command
    check(project, world)


def test_a_swap_killed_at_each_point_and_its_recovery_at_each_of_its_own(
    new_world: Callable[[], tuple[Project, World]],
) -> None:
    project, world = new_world()
    assert run(project, world, "2.0", None)
    points = world.passed
    assert points > 10
    for first in range(points):
        for second in (0, 3, 8):
            project, world = new_world()
            assert not run(project, world, "2.0", first) or first >= points
            run(project, world, "1.0", second)
            check(project, world)
            assert run(project, world, "2.0", None) or world.default_version == "2.0"
            check(project, world)
            assert world.default_version == "2.0"
