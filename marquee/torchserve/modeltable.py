"""What a server serves, in words: the columns that ``marquee models`` and the studio show."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from marquee.torchserve.models import ModelState

REPLACED = "* the file in the store is newer than the workers: not what they loaded"


def _workers(one: ModelState) -> str:
    return "retired" if one.state == "retired" else f"{one.ready}/{one.wanted} {one.state}"


def _since(one: ModelState) -> str:
    return "-" if one.since is None else f"{one.since.astimezone():%Y-%m-%d %H:%M:%S}"


def _archive(one: ModelState) -> str:
    known = one.sha256 or ("a folder" if one.unpacked else "not here")
    return known[:12] + ("*" if one.replaced else "")


# What an archive says of itself may hold any letters: whoever shows a cell sees to them.
COLUMNS: Mapping[str, Callable[[ModelState], str]] = {
    "MODEL": lambda one: one.name,
    "VERSION": lambda one: one.version + (" default" if one.default else ""),
    "WORKERS": _workers,
    "QUEUE": lambda one: f"{one.pending}/{one.queue}",
    "BATCH": lambda one: f"{one.batch_size} in {one.batch_delay} ms",
    "MEMORY": lambda one: megabytes(one.memory) if one.memory else "-",
    "DEVICE": lambda one: ", ".join(one.devices) or "-",
    "SINCE": _since,
    "ARCHIVE": _archive,
    "WEIGHTS": lambda one: one.weights or "-",
}


def megabytes(count: int) -> str:
    """Return bytes in words."""
    return f"{count / 1e6:.0f} MB"
