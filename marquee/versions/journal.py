"""What a change of the default is about to do, on disk: whoever comes after a crash reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from marquee import files, state
from marquee.archives.manifest import rule_broken
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.versions.history import Record


@dataclass
class Plan:
    """A change of the default version that is under way.

    Attributes:
        model, old, new: which versions; the old one is the default at the start.
        old_workers, new_workers: what they had before.
        archive: the new version's file in the store, "" if it was registered already.
        copied: whether this change put it there.
        registered: whether this change registered (or is about to register) the new version.
        canary: whether clients reach the new version before anything has moved.
        moved: whether requests without a version may have reached the new one.
        committed: whether the new one has been found good; what is left is to drain the old.
        keep: whether the old one stays in service.
        action: as the history calls it.
    """

    model: str
    old: str
    new: str
    old_workers: int
    new_workers: int = 0
    archive: str = ""
    copied: bool = False
    registered: bool = False
    canary: bool = False
    moved: bool = False
    committed: bool = False
    keep: bool = False
    action: str = "swap"

    def record(self, outcome: str, reason: str) -> Record:
        """Return what the history gets of it."""
        return {
            "model": self.model,
            "action": self.action,
            "from": self.old,
            "from_workers": self.old_workers,
            "to": self.new,
            "registered": self.registered,
            "outcome": outcome,
            "reason": reason,
        }


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
    path = _path(project, model, "json")
    kept = state.read(path)
    if not kept:
        return None
    known = {field.name for field in fields(Plan)}
    try:
        return Plan(**{name: value for name, value in kept.items() if name in known})
    except TypeError as error:
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
    path = _path(project, model, "lock")
    with ExitStack() as held:
        try:
            lock = held.enter_context(files.locked(path, wait=False))
        except BlockingIOError as error:
            raise MarqueeError(
                f"another command changes {model} now (process {path.read_text().strip()}); wait "
                "for it, or stop it with Ctrl-C, which is safe at any time"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
