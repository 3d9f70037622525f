"""A TorchServe of tuning's own: other ports, another temporary folder, an empty model store."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from marquee import interrupts, javaproperties, processes
from marquee.archives import trust
from marquee.errors import MarqueeError
from marquee.project import CONFIG_NAME, Project
from marquee.properties import ADDRESSES, GRPC_PORTS, variable
from marquee.torchserve import server
from marquee.torchserve.connection import keys_of
from marquee.torchserve.lastwords import last_words
from marquee.torchserve.loads import LogMarks, wait_loaded
from marquee.torchserve.management import Management, Version
from marquee.tuning import guard

LOOPBACK = "127.0.0.1"
ANSWER_SECONDS = 60
# What the user's server has of its own, and so has this one.
OWN_VARIABLES = ("TS_CONFIG_FILE", "TEMP", "LOG_LOCATION", "METRICS_LOCATION")


class TuningServer:
    """A running server; models are loaded and unloaded at will.

    Attributes:
        project: of its own, in a temporary folder.
        host, port: of its inference address.
    """

    def __init__(self, project: Project, api: Management) -> None:
        self.project, self._api = project, api
        address = urlsplit(project.properties["inference_address"])
        self.host, self.port = str(address.hostname), int(address.port or 0)
        self._keys = keys_of(project)

    def token(self) -> str | None:
        """Return a key for requests; None where the user's server wants none either."""
        return None if self._keys is None else self._keys.get("inference")

    def load(self, folder: str, name: str, version: str, seconds: float) -> Version:
        """Load an unpacked archive of the model store as a model of this name.

        Raises:
            MarqueeError: it does not load, with the words of its worker; or not in time.
        """
        since = LogMarks.now(self.project)
        self._api.register(folder, name)
        try:
            return wait_loaded(self.project, self._api, name, version, since=since, seconds=seconds)
        except MarqueeError:
            self._api.unregister(name, version)
            raise

    def unload(self, model: Version) -> None:
        """Remove a model that nobody asks any more, and wait for the end of its workers."""
        family = [*filter(None, (processes.running(worker["pid"]) for worker in model.workers))]
        self._api.unregister(model.name, model.version)
        processes.wait_ended(family, server.STOP_SECONDS)


@contextmanager
def running(own: Project) -> Iterator[TuningServer]:
    """Run a server in a project of its own until the block ends; see :func:`make_project`.

    Raises:
        MarqueeError: why it does not start.
    """
    with guard.watching(own):
        yield from _running(own)


def _running(own: Project) -> Iterator[TuningServer]:
    try:
        started = server.start(own)
        interrupts.check()
        with Management.of(own) as api:
            if not interrupts.until(
                lambda: api.answers() or not started.alive, ANSWER_SECONDS, server.POLL_SECONDS
            ):
                raise MarqueeError(f"the server does not answer after {ANSWER_SECONDS} s")
            if not started.alive:
                raise MarqueeError(f"no server can be started: {last_words(own)}")
            yield TuningServer(own, api)
    finally:
        with interrupts.ignored():
            server.stop(own)


@contextmanager
def made_project(project: Project) -> Iterator[Project]:
    """Lend a project like the user's, with free ports and an empty store; it is removed afterwards.

    It lies in the user's own temporary folder, which is private. Other files that its
    configuration names by a relative path are not there, save ``config/``.

    Raises:
        MarqueeError: that folder cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="tune-", dir=project.make_temp()) as name:
        root = Path(name)
        for folder in ("handlers", "model_store", "logs"):
            (root / folder).mkdir()
        if (project.root / "config").is_dir():
            (root / "config").symlink_to(project.root.resolve() / "config")
        own = _own_properties()
        properties = {key: value for key, value in project.properties.items() if value} | own
        # Variants of what the user's own rooms are built into: nobody signs them.
        properties.pop(trust.PROPERTY, None)
        lines = [javaproperties.line(*pair) for pair in properties.items() if pair[0] != "vmargs"]
        # The launcher looks for it in a line NAME=VALUE as it stands.
        lines += [f"vmargs={properties['vmargs']}"] if "vmargs" in properties else []
        (root / CONFIG_NAME).write_text("\n".join([*lines, ""]), encoding="latin-1")
        replaced = {*OWN_VARIABLES, *map(variable, own), "TS_LOAD_MODELS", "TS_MODEL_STORE"}
        environ = {key: value for key, value in project.environ.items() if key not in replaced}
        yield Project(root, {**environ, "TEMP": name})


def _own_properties() -> dict[str, str]:
    ports = _free_ports(len(ADDRESSES) + len(GRPC_PORTS))
    addresses = {name: f"http://{LOOPBACK}:{ports.pop()}" for name in ADDRESSES}
    grpc = {name: str(ports.pop()) for name in GRPC_PORTS}
    return {**addresses, **grpc, "model_store": "model_store", "load_models": "all"}


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [probe.getsockname()[1] for probe in probes]


def check_room(folder: Path, needed: int) -> None:
    """Refuse a disk that is too small for an unpacked archive.

    Raises:
        MarqueeError: how much is needed, and what to do.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise MarqueeError(
            f"{folder} has {free >> 20} MB free, tuning takes {needed >> 20} MB there (the "
            "unpacked archive and logs); free some, or set TEMP to a folder on another disk"
        )
