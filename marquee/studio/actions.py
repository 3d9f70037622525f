"""The commands that the tab "Operate" offers, as works of a change: the functions that they call.

What somebody chose is checked here again: a page may send anything.
"""

from __future__ import annotations

import math
from typing import Any

from marquee.archives import listing
from marquee.errors import MarqueeError
from marquee.front import requestlog
from marquee.project import Project
from marquee.studio import tables
from marquee.studio.changes import Work
from marquee.torchserve.logs import logs
from marquee.versions import canary, operate
from marquee.versions import swap as swapping
from marquee.versions.history import DONE, Record, StepListener
from marquee.versions.judgement import CanaryLimits, SwapPolicy

# As the command takes them.
MOST_WORKERS = 1024
LONGEST_SECONDS = 3600
LOG_LINES = 200


def swap(
    project: Project, model: Any, version: Any, *, watch: Any, slowdown: Any, keep: Any
) -> Work:
    """Return the work of ``marquee swap``."""
    name, target = _model(model), _version(project, model, version)
    policy = _policy(watch, slowdown, keep=keep)
    return lambda listener: _serves(swapping.swap(project, name, target, policy, listener))


def rollback(project: Project, model: Any, *, watch: Any, keep: Any) -> Work:
    """Return the work of ``marquee rollback``."""
    name, policy = _model(model), _policy(watch, math.inf, keep=keep)
    return lambda listener: _serves(swapping.rollback(project, name, policy, listener))


def _serves(record: Record) -> str:
    left = f"; {record['reason']}" if record["reason"] else ""
    return f"{DONE}: {record['model']} {record['to']} serves in the place of {record['from']}{left}"


def begin(
    project: Project,
    model: Any,
    version: Any,
    *,
    share: Any,
    more_errors: Any,
    slower: Any,
) -> Work:
    """Return the work of ``marquee canary MODEL VERSION --share``; all three are percentages."""
    name, target = _model(model), _version(project, model, version)
    part = _number("the share", share, 0, 100) / 100
    limits = CanaryLimits(
        max_errors=_number("how many more may fail", more_errors, 0, 100) / 100,
        max_slower=_number("how much slower it may be", slower, 0, 100_000) / 100,
    )

    def work(listener: StepListener) -> str:
        begun = canary.begin(project, name, target, part, limits, listener=listener)
        return f"{name} {begun.version} gets {begun.share:.2%} of the requests to {name}"

    return work


def promote(project: Project, model: Any, *, watch: Any, slowdown: Any) -> Work:
    """Return the work of ``marquee canary MODEL --promote``."""
    name, policy = _model(model), _policy(watch, slowdown, keep=True)

    def work(listener: StepListener) -> str:
        promoted = swapping.promote(project, name, policy, listener)
        return f"{name} {promoted.version} is the default version now, and gets all requests"

    return work


def withdraw(project: Project, model: Any) -> Work:
    """Return the work of ``marquee canary MODEL --withdraw``."""
    name = _model(model)

    def work(_listener: StepListener) -> str:
        withdrawn = canary.withdraw(project, name)
        return f"{name} {withdrawn.version} gets no requests any more; it stays registered"

    return work


def scale(project: Project, model: Any, version: Any, *, workers: Any, force: Any) -> Work:
    """Return the work of ``marquee scale``; of the default version where none is chosen."""
    name = _model(model)
    count = _number("the number of workers", workers, 0, MOST_WORKERS)
    if count != int(count):
        raise MarqueeError(f"{count:g} workers cannot be; choose a whole number")

    def work(listener: StepListener) -> str:
        record = operate.scale(
            project, name, int(count), version or None, force=bool(force), listener=listener
        )
        return f"{name} {record['to']} has {record['workers']} worker(s)"

    return work


def versions(project: Project, model: str) -> list[str]:
    """Return the versions of a model whose archives the store has, which a command can name."""
    found = listing.scan(project.model_store).archives
    return [one.manifest.version for one in found if one.manifest.name == model]


def log_of(project: Project, asked: str) -> str:
    """Return the story of the answer with an ``x-request-id``, as ``marquee logs`` has it."""
    wanted = asked.strip()
    if not wanted:
        raise MarqueeError("paste the x-request-id of an answer first; each answer has that header")
    entries = requestlog.entries(project.logs, wanted)
    names = {wanted, *(str(entry.get("server_id") or wanted) for entry in entries)}
    lines = [line for name in names for line in logs(project, request=name, last=LOG_LINES)]
    if not entries and not lines:
        raise MarqueeError(
            f"the logs have no line of a request '{wanted[:100]}'. Without a front door only those "
            "that failed are in them by their ids; rotated files (logs/*.gz) are not read"
        )
    return tables.log(entries, lines)


def _model(chosen: Any) -> str:
    if not chosen:
        raise MarqueeError("choose a model first; the list is empty as long as no server answers")
    return str(chosen)


def _version(project: Project, model: Any, chosen: Any) -> str:
    """Return a version of the store: no path, and no address, comes from a page."""
    known = versions(project, _model(model))
    if chosen not in known:
        listed = ", ".join(known) or "none"
        raise MarqueeError(
            f"choose a version of {model} first; the model store has {listed}. Build another: "
            f"marquee archive {model}"
        )
    return str(chosen)


def _policy(watch: Any, slowdown: Any, *, keep: Any) -> SwapPolicy:
    seconds = _number("how long live traffic is watched", watch, 0, LONGEST_SECONDS)
    times = _number("how many times slower it may be", slowdown, 1, math.inf)
    return SwapPolicy(watch_seconds=seconds, max_slowdown=times, keep=bool(keep))


def _number(what: str, given: Any, least: float, most: float) -> float:
    number = given if isinstance(given, (int, float)) else math.nan
    if not least <= number <= most:  # nan is in no range
        raise MarqueeError(f"{what} is {given!r}; a number from {least:g} to {most:g} is expected")
    return float(number)
