"""One version under watch: are its workers there, and does it still answer its own example?"""

from __future__ import annotations

import json
import math
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marquee.archives import configuration
from marquee.archives.packed import CONFIG_NAME
from marquee.errors import MarqueeError
from marquee.media import type_of
from marquee.torchserve.management import Version

GOLDEN = "golden/requests.json"
# An archive may come from anywhere.
MAX_BYTES = 100 << 20
# A problem is looked at again sooner than a success.
RETRY_SECONDS = 2.0
# An example may take this share of a worker's time, and this many times its usual time.
SHARE = 0.05
PATIENCE = 5.0
UNASKED = "has not answered its own example yet"
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Example:
    """A request that a version must be able to answer.

    Attributes:
        body: to send.
        headers: to send with it.
    """

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Timing:
    """How often and how patiently models are asked.

    Attributes:
        interval: seconds between a proof that a model answers and the next question; longer
            for a model whose example takes long.
        patience: seconds after which an unanswered question makes a model unready; longer
            for a model that is known to take long.
    """

    interval: float = 30.0
    patience: float = 20.0


Ask = Callable[[Version, Example], "str | None"]


class Watch:
    """What is known of one version.

    A proof is an answered example or, once there was one, an answer to anybody's request. New
    workers have proved nothing.

    Args:
        ask: sends the example, blocks, and returns what was wrong; None where the archive has
            no example and its workers must do.
        timing: how often and how patiently.
    """

    def __init__(self, ask: Callable[[], str | None] | None, timing: Timing) -> None:
        self._ask = ask
        self._timing = timing
        self._lock = threading.Lock()
        self._workers: frozenset[tuple[object, object]] = frozenset()
        self._proved = -math.inf
        self._asked: float | None = None  # when the question that is out now was sent
        self._next = -math.inf
        self._took = 0.0
        self._problem: str | None = UNASKED

    @property
    def asking(self) -> bool:
        """Whether an answer is being waited for."""
        return self._asked is not None

    def look(self, version: Version, lively: float | None) -> str | None:
        """Return why the version is not ready, or None; asks in the background when it is due.

        Args:
            version: as the server describes it now.
            lively: when somebody's request was last answered, by ``time.monotonic``.
        """
        with self._lock:
            if not version.ready:
                self._forget(frozenset())
                return f"{version.loaded} of {max(1, version.min_workers)} workers are ready"
            workers = frozenset((w.get("id"), w.get("pid")) for w in version.workers)
            if workers != self._workers:
                self._forget(workers)
            self._note(lively)
            if self._ask is None:
                return None
            if self._asked is None and time.monotonic() >= self._next:
                self._send(self._ask)
            return self._overdue() or self._problem

    def _forget(self, workers: frozenset[tuple[object, object]]) -> None:
        """Start anew with other workers; the answer to a question to the old ones is ignored."""
        self._workers = workers
        self._proved = self._next = -math.inf
        self._asked = None
        self._problem = UNASKED

    def _note(self, lively: float | None) -> None:
        if lively is not None and lively > self._proved > -math.inf:
            self._proven(lively)

    def _proven(self, moment: float) -> None:
        self._proved, self._problem = moment, None
        self._next = moment + max(self._timing.interval, self._took / SHARE)

    def _overdue(self) -> str | None:
        if self._asked is None or self._proved > self._asked:
            return None
        waited = time.monotonic() - self._asked
        if waited <= max(self._timing.patience, PATIENCE * self._took):
            return None
        return f"has not answered its own example for {waited:.0f} s"

    def _send(self, ask: Callable[[], str | None]) -> None:
        asked = self._asked = time.monotonic()

        def wait() -> None:
            try:
                problem = ask()
            except Exception as error:  # noqa: BLE001 - else nobody would ask ever again
                problem = f"could not be asked ({type(error).__name__}: {error})"
            with self._lock:
                if self._asked == asked:
                    self._answered(problem)

        # A thread of its own: a model that hangs must not hold up the others, nor the exit.
        threading.Thread(target=wait, name="example", daemon=True).start()

    def _answered(self, problem: str | None) -> None:
        now = time.monotonic()
        asked, self._asked = self._asked, None
        if problem is None and asked is not None:
            self._took = now - asked
            self._proven(now)
            return
        self._problem, self._next = problem, now + RETRY_SECONDS


def example_of(archive: Path) -> Example | None:
    """Return what an archive's model is asked, or None where the archive has no example.

    The first of its golden requests, which come with the headers that they need; in archives
    without them, the first ``example.*``.

    Raises:
        MarqueeError: the archive is damaged.
    """
    try:
        if archive.is_dir():
            return _example_in(archive, archive)
        if not zipfile.is_zipfile(archive):
            return None
        with zipfile.ZipFile(archive) as opened:
            return _example_in(zipfile.Path(opened), archive)
    except UNREADABLE as error:
        raise MarqueeError(
            f"the example in {archive} cannot be read ({error}); build the archive again"
        ) from error


# An archive's root: a folder, or as good as one.
Root = Path | zipfile.Path


def _example_in(root: Root, archive: Path) -> Example | None:
    return _golden_example(root) or _plain_example(root, archive)


def _golden_example(root: Root) -> Example | None:
    if not (root / GOLDEN).is_file():
        return None
    listed = json.loads(_read(root / GOLDEN))["requests"]
    found = next((one for one in listed if one["status"] == 200), None)
    return None if found is None else Example(_read(root / found["body"]), found["headers"])


def _plain_example(root: Root, archive: Path) -> Example | None:
    names = sorted(path.name for path in root.iterdir() if path.name.startswith("example."))
    if not names:
        return None
    kind = _stated_type(root, archive) or type_of(Path(names[0]))
    return Example(_read(root / names[0]), {"Content-Type": kind})


def _stated_type(root: Root, archive: Path) -> str | None:
    """Return the example's type where ``marquee archive --example-type`` wrote it down."""
    if not (root / CONFIG_NAME).is_file():
        return None
    found: Any = configuration.read(_read(root / CONFIG_NAME), CONFIG_NAME, archive)
    for key in ("marquee", "options", "example_type"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def _read(path: Root) -> bytes:
    with path.open("rb") as file:
        content: bytes = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path.name} has more than {MAX_BYTES} bytes")
    return content
