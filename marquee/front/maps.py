"""HAProxy's maps: the files that it starts from, and what the running one knows."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from marquee.errors import MarqueeError
from marquee.files import locked, write_private
from marquee.front import runtime

STATE, CANARY, NAMES, KEYS = "state.map", "canary.map", "names.map", "keys.map"
# Bytes that models take, where that is less than others.
SIZES = "sizes.map"
# In multi-model mode: the models that are loaded.
LOADED = "loaded.map"
# The entry of the state map that numbers the requests' epochs.
EPOCH = "epoch"
# What a command of HAProxy takes for one key or value.
WORD = re.compile(r"[^\s;\\]+")
# What is known of the models is believed for so long: a process that is stuck or dead makes
# /ping unready.
BELIEVED_SECONDS = 15.0
STARTING = {"status": "Unhealthy", "message": "the models have not been asked yet"}


def write(path: Path, entries: Mapping[str, str]) -> None:
    """Write a map's file, whole or not at all."""
    write_private(path, "".join(f"{key} {value}\n" for key, value in entries.items()))


def read(path: Path) -> dict[str, str]:
    """Return the entries of a map's file; none where there is no file."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return {key: value for key, _, value in (line.partition(" ") for line in lines) if key}


def readiness(body: Mapping[str, Any], *, ready: bool) -> dict[str, str]:
    """Return the entries of the state map for what ``/ping`` answers from now on."""
    until = str(int(time.time() + BELIEVED_SECONDS))
    # A map's values must not hold what its commands are cut at.
    encoded = base64.b64encode(json.dumps(body).encode()).decode()
    return {"until": until, "ready": "1" if ready else "0", "body": encoded}


def first_state() -> dict[str, str]:
    """Return the state map of a door that knows nothing yet."""
    # The keeper has as long for its first look as for any other one.
    return readiness(STARTING, ready=False) | {"draining": "0", EPOCH: "0"}


def names(default: str, reasons: Mapping[str, str]) -> dict[str, str]:
    """Return the names map: who answers where nobody is named, and which models there are.

    Args:
        default: a model's name, or empty.
        reasons: by model, why it is not ready; empty where it is.
    """
    entries = {
        "default": default,
        "listed": ",".join(reasons),
        "names": json.dumps([*reasons], separators=(",", ":")),
        **{f"ready:{name}": "0" if reason else "1" for name, reason in reasons.items()},
    }
    return {key: value for key, value in entries.items() if value}


class RuntimeMap:
    """A map of the running HAProxy, and the file from which its next process reads it.

    Args:
        admin: HAProxy's runtime socket.
        path: the map's file, which is its name too.
    """

    def __init__(self, admin: Path, path: Path) -> None:
        self._admin = admin
        self._path = path

    def set(self, entries: Mapping[str, str]) -> None:
        """Add or change entries, at once and for later.

        Raises:
            MarqueeError: HAProxy does not take them, or would read more than one word.
        """
        for word in (*entries, *entries.values()):
            if not WORD.fullmatch(word):
                raise MarqueeError(
                    f"the front door cannot be told {word[:200]!r}: models' names and versions "
                    "are of letters, digits and _ - . only"
                )
        with self.locked() as present:
            self._change(present, entries)

    def remove(self, key: str) -> None:
        """Remove an entry; one that is not there is fine."""
        with self.locked() as present:
            if present.pop(key, None) is not None:
                write(self._path, present)
                self._run(f"del map {self._path} {key}")

    def count_up(self, key: str) -> int:
        """Add one to an entry that is a number, and return it."""
        with self.locked() as present:
            number = int(present.get(key, "0")) + 1
            self._change(present, {key: str(number)})
        return number

    @contextmanager
    def locked(self) -> Iterator[dict[str, str]]:
        """Lend the entries to one at a time: the keeper and the commands work side by side."""
        with locked(self._path.with_suffix(".lock")):
            yield read(self._path)

    def read(self) -> dict[str, str]:
        """Return the entries."""
        return read(self._path)

    def _change(self, present: Mapping[str, str], entries: Mapping[str, str]) -> None:
        lines = [
            f"{'set' if key in present else 'add'} map {self._path} {key} {value}"
            for key, value in entries.items()
        ]
        write(self._path, {**present, **entries})
        self._run("; ".join(lines))

    def _run(self, text: str) -> None:
        refusal = runtime.command(self._admin, text)
        if refusal:
            raise MarqueeError(f"the front door did not take '{text[:200]}': {refusal}")
