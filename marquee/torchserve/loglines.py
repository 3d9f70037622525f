"""How the lines of TorchServe's logs are built, and how a log is read back.

A line has its time, then its level (not in the access log), then the thread, which for all that is
about a worker names it: ``2026-11-21T22:59:13,123 INFO  W-9000-cifar_2.0-stdout text``. The console
has the time of day alone. Configurations of others put more between these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

# Of one log, where nothing else is said; its lines take some times that in memory.
MAX_BYTES = 16 << 20
_STAMPED = re.compile(
    r"(?P<time>(?:(?P<day>\d{4}-\d\d-\d\d)T)?\d\d:\d\d:\d\d(?:,\d+)?) (?P<rest>.*)"
)
_LEVELLED = re.compile(r"\[?(?P<level>TRACE|DEBUG|INFO|WARN|ERROR|FATAL) *\]? (?P<rest>.*)")
_OUTPUT = re.compile(r"W-(?P<worker>\d+)-(?P<label>.+?)-(?P<stream>stdout|stderr) ?(?P<text>.*)")
_STATE = re.compile(
    r" - W-(?P<worker>\d+)-(?P<label>.+) State change (?P<before>\w+) -> (?P<after>\w+)$"
)
# The one line that there is where a log configuration leaves the states out.
_LOAD_FAILED = re.compile(r" W-(?P<worker>\d+)-(?P<label>.+) org\.\S+ - Load model failed: ")
_REQUEST = re.compile(r'"\S+ (?P<target>\S+) HTTP/[\d.]+" (?P<status>\d{3}) (?P<milliseconds>\d+)$')
# The ways to ask a model at TorchServe's inference address, the plainest first.
_ROUTES = tuple(
    re.compile(route)
    for route in (
        r"/(?:predictions|explanations)/(?P<model>[^/]+)(?:/(?P<version>[^/]+)(?:/.*)?)?",
        r"/models/(?P<model>[^/]+)/invoke",
        r"/v1/models/(?P<model>[^/]+):predict",
        r"/v2/models/(?P<model>[^/]+)/infer",
        r"/(?P<model>[^/]+)(?:/(?P<version>[^/]+))?/predict",
    )
)
_INVOCATIONS = "/invocations"


@dataclass(frozen=True)
class Stamped:
    """A line that begins with its time, ``dated`` with the day as well; its level may be empty."""

    time: str
    dated: bool
    level: str
    text: str


@dataclass(frozen=True)
class Output:
    """A line that a worker wrote to ``stdout`` or ``stderr``; its number, its name.

    That is ``<model>_<version>``, which both may have underscores themselves.
    """

    worker: str
    label: str
    stream: str
    text: str


@dataclass(frozen=True)
class StateChange:
    """A worker's way from one of TorchServe's states to another; both empty: its load failed."""

    worker: str
    label: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Access:
    """A request of the access log; its line is written when it has been answered."""

    path: str
    query: str
    status: int
    milliseconds: int

    @property
    def explains(self) -> bool:
        """Whether an explanation was asked for, which takes its own time."""
        return self.path.startswith("/explanations/")

    def model(self) -> tuple[str, str | None] | None:
        """Return the model and the version that are named; None where no model is asked.

        ``/invocations`` need not name one (then it is ``""``): TorchServe answers for the only
        model it was started with, and with 400 if there are several.
        """
        if self.path == _INVOCATIONS:
            named = dict(parse_qsl(self.query))
            if "model_name" not in named and self.status == 400:
                return None
            return named.get("model_name", ""), named.get("model_version")
        for route in _ROUTES:
            if found := route.fullmatch(self.path):
                return found["model"], found.groupdict().get("version")
        return None


def stamped(line: str) -> Stamped | None:
    """Read a line that begins with a time; None for a stack's, or one of a longer message."""
    outer = _STAMPED.fullmatch(line)
    if outer is None:
        return None
    inner = _LEVELLED.fullmatch(outer["rest"])
    level, text = (inner["level"], inner["rest"]) if inner else ("", outer["rest"])
    return Stamped(outer["time"], outer["day"] is not None, level, text)


def output(line: Stamped) -> Output | None:
    """Read what a worker process wrote; None where the line is the server's own."""
    found = _OUTPUT.fullmatch(line.text)
    return None if found is None else Output(**found.groupdict())


def state_change(line: str) -> StateChange | None:
    """Read a change of a worker's state, or that its load has failed; None of any other line."""
    found = _STATE.search(line) or _LOAD_FAILED.search(line)
    return None if found is None else StateChange(**found.groupdict())


def access(line: str) -> Access | None:
    """Read a line of the access log, with its time or without; None of any other line."""
    found = _REQUEST.search(line)
    if found is None:
        return None
    path, _, query = found["target"].partition("?")
    return Access(path.rstrip("/"), query, int(found["status"]), int(found["milliseconds"]))


def read_lines(path: Path, since: int = 0, most: int = MAX_BYTES) -> list[str]:
    """Return a log's lines, of one that is not there none.

    Args:
        path: the log.
        since: the byte to begin at; the log's start if it was cut since.
        most: the last so many bytes are read: a model may write without end.
    """
    if not path.is_file():
        return []
    size = path.stat().st_size
    with path.open("rb") as log:
        log.seek(max(since if since <= size else 0, size - most))
        return log.read(most).decode(errors="replace").split("\n")


class News:
    """What is written to a log from now on, each line once.

    Args:
        path: the log; it need not be there yet.
        back: the first look goes so many bytes back, to begin within a line perhaps.
        most: one look reads so many bytes at the most, the last ones; all where it is None.
    """

    def __init__(self, path: Path, back: int = 0, most: int | None = None) -> None:
        self._path, self._most = path, most
        self._byte = max(0, self._size() - back)

    def _size(self) -> int:
        return self._path.stat().st_size if self._path.is_file() else 0

    def lines(self) -> list[str]:
        """Return the whole lines written since the last time; all of a log that was cut since."""
        if not self._path.is_file():
            return []
        size = self._size()
        if self._byte > size:
            self._byte = 0
        if self._most is not None:
            self._byte = max(self._byte, size - self._most)
        with self._path.open("rb") as log:
            log.seek(self._byte)
            whole, newline, _ = log.read().rpartition(b"\n")
        self._byte += len(whole) + len(newline)
        return whole.decode(errors="replace").splitlines()
