"""What a swap is about to do, on disk, so that whoever comes after a crash can put it right."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from marquee import state
from marquee.archives.manifest import rule_broken
from marquee.errors import MarqueeError
from marquee.project import Project


@dataclass
class Plan:
    """A swap under way.

    Attributes:
        model, old, new: which versions; the old one is the default at the start.
        old_workers, new_workers: what they had before.
        archive: the new version's file in the store, "" if it was registered already.
        copied: whether this swap put it there.
        registered: whether this swap registered (or is about to register) the new version.
        moved: whether requests without a version may have reached the new one.
        committed: whether the new one has been found good; what is left is to drain the old.
        keep: whether the old one stays in service.
        action: ``swap`` or ``rollback``.
    """

    model: str
    old: str
    new: str
    old_workers: int
    new_workers: int = 0
    archive: str = ""
    copied: bool = False
    registered: bool = False
    moved: bool = False
    committed: bool = False
    keep: bool = False
    action: str = "swap"


def _path(project: Project, model: str, kind: str) -> Path:
    problem = rule_broken("name", model)  # of a command's words: the path could lead anywhere
    if problem is not None:
        raise MarqueeError(f"no model can be called so: {problem}")
    return state.folder(project) / f"swap-{model}.{kind}"


def save(project: Project, plan: Plan) -> None:
    """Write the plan down, before the step that it tells of."""
    state.write(_path(project, plan.model, "json"), asdict(plan))


def unfinished(project: Project, model: str) -> Plan | None:
    """Return the plan that a killed command left, if any."""
    kept = state.read(_path(project, model, "json"))
    if not kept:
        return None
    known = {field.name for field in fields(Plan)}
    try:
        return Plan(**{name: value for name, value in kept.items() if name in known})
    except TypeError as error:
        path = _path(project, model, "json")
        raise MarqueeError(f"{path} is damaged ({error}); delete it") from error


def forget(project: Project, model: str) -> None:
    """Remove the plan: everything is as it should be."""
    _path(project, model, "json").unlink(missing_ok=True)


@contextmanager
def locked(project: Project, model: str) -> Iterator[None]:
    """Hold the model for one command at a time; the system lets go of it when the holder dies.

    Raises:
        MarqueeError: another command holds it, or no model can have that name.
    """
    with _path(project, model, "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise MarqueeError(
                f"another command changes {model} now (process {lock.read().strip()}); wait for "
                "it, or stop it with Ctrl-C, which is safe at any time"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
