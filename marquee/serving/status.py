"""The server as a whole: process, Java, addresses, tokens, readiness, and what is at risk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from marquee.errors import MarqueeError
from marquee.front import rayserver
from marquee.front.doors import running
from marquee.interrupts import until
from marquee.project import Project
from marquee.properties import ADDRESSES, GRPC_PORTS
from marquee.torchserve import exposure
from marquee.torchserve.connection import keys_of, listens
from marquee.torchserve.inference import Inference
from marquee.torchserve.loaded import defaults
from marquee.torchserve.management import Management
from marquee.torchserve.readiness import Prober, Readiness, Timing
from marquee.torchserve.server import running_pid

NOT_RUNNING = "no server of this project is running; start it: make serve"


@dataclass(frozen=True)
class Process:
    """The server's process: TorchServe's Java, or that of ``marquee ray serve``.

    Attributes:
        since: when it was started.
        java: its version, such as ``17.0.15``; empty where Java does not say, and on Ray.
        memory: bytes that it holds in RAM.
        heap: its largest heap as Java was told, such as ``2g``; empty for Java's own choice.
        workers: bytes that all workers hold in RAM.
        ray: Ray's version; empty for TorchServe.
        nodes: how many machines have workers, on Ray.
    """

    pid: int
    since: datetime
    java: str
    memory: int
    heap: str
    workers: int
    ray: str = ""
    nodes: int = 0


@dataclass(frozen=True)
class Token:
    """A key's age, and how long it is valid; None for one that does not expire."""

    age: timedelta
    left: timedelta | None


@dataclass(frozen=True)
class Address:
    """Where the server listens as configured, and whether something takes connections there."""

    url: str
    answers: bool


@dataclass(frozen=True)
class Status:
    """What ``marquee status`` shows.

    Attributes:
        process: None where no server of the project runs.
        addresses: by name, such as ``inference``.
        tokens: by kind; None where they are turned off.
        readiness: None where there is nobody to ask; ``problem`` then says why.
        problem: why the server does not tell its readiness.
        warnings: what is at risk, a sentence each.
    """

    process: Process | None
    addresses: Mapping[str, Address]
    tokens: Mapping[str, Token] | None
    readiness: Readiness | None
    problem: str | None
    warnings: list[str]


def status(project: Project) -> Status:
    """Return the state of the project's server, which need not run."""
    process = _process(project)
    readiness, problem = None, NOT_RUNNING if process is None else None
    if process is not None:
        try:
            readiness = ready(project)
        except MarqueeError as error:
            problem = str(error)
    configured = project.properties
    return Status(
        process=process,
        addresses={
            name: Address(url, listens(url))
            for name, url in _addresses(configured, grpc=not (process and process.ray))
        },
        tokens=_tokens(project),
        readiness=readiness,
        problem=problem,
        warnings=exposure.warnings(_as_bound(configured, process.pid) if process else configured),
    )


def _process(project: Project) -> Process | None:
    ray, pid = rayserver.running(project), running_pid(project)
    try:
        if ray is not None:
            return _of_ray(project, ray.process)
        return None if pid is None else _of_java(psutil.Process(pid))
    except psutil.Error:
        return None  # it ended while we looked


def _of_ray(project: Project, process: psutil.Process) -> Process:
    workers = []
    with suppress(MarqueeError), Management.of(project) as api:  # told as the readiness's problem
        workers = [one for name in api.models() for v in api.versions(name) for one in v.workers]
    return Process(
        pid=process.pid,
        since=datetime.fromtimestamp(process.create_time(), timezone.utc),
        java="",
        memory=process.memory_info().rss,
        heap="",
        workers=sum(worker["memoryUsage"] for worker in workers),
        ray=metadata.version("ray"),
        nodes=len({worker["node"] for worker in workers}),
    )


def _of_java(process: psutil.Process) -> Process:
    with process.oneshot():
        return Process(
            pid=process.pid,
            since=datetime.fromtimestamp(process.create_time(), timezone.utc),
            java=_java_version(Path(process.exe())),
            memory=process.memory_info().rss,
            heap=_heap(process.cmdline()),
            workers=sum(child.memory_info().rss for child in process.children(recursive=True)),
        )


def _heap(command: list[str]) -> str:
    return next((w.removeprefix("-Xmx") for w in reversed(command) if w.startswith("-Xmx")), "")


def _java_version(executable: Path) -> str:
    """Return what a Java's ``release`` file says: running it takes a tenth of a second."""
    release = executable.resolve().parent.parent / "release"
    lines = release.read_text().splitlines() if release.is_file() else []
    named = (line.partition("=")[2] for line in lines if line.startswith("JAVA_VERSION="))
    return next(named, "").strip('"')


def _addresses(properties: Mapping[str, str], *, grpc: bool) -> list[tuple[str, str]]:
    found = [(name.removesuffix("_address"), properties[name]) for name in ADDRESSES]
    for name in GRPC_PORTS if grpc else ():
        what = name.removesuffix("_port")
        url = f"grpc://{properties.get(f'{what}_address', '127.0.0.1')}:{properties[name]}"
        found.append((what.replace("grpc_", "gRPC "), url))
    return found


def _as_bound(properties: Mapping[str, str], pid: int) -> dict[str, str]:
    """Return the properties with the hosts that the server really listens on.

    It may have been started from a shell with other variables than this one.
    """
    real = dict(properties)
    try:
        found = psutil.Process(pid).net_connections("inet")
    except psutil.Error:
        return real
    bound = {one.laddr.port: one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}
    for name in ADDRESSES:
        port = urlsplit(properties[name]).port
        if port in bound:
            host = f"[{bound[port]}]" if ":" in bound[port] else bound[port]
            real[name] = f"http://{host}:{port}"
    port = int(properties["grpc_management_port"])
    if port in bound:
        real["grpc_management_address"] = bound[port]
    return real


def _tokens(project: Project) -> dict[str, Token] | None:
    keys = keys_of(project)
    if keys is None:
        return None
    if not keys.path.is_file():
        return {}
    file_age = timedelta(seconds=time.time() - keys.path.stat().st_mtime)
    made = {}
    for kind in ("inference", "management"):
        left = keys.left(keys.entry(kind))
        age = file_age if left is None else keys.lifetime - left
        made[kind] = Token(max(age, timedelta()), left)
    return made


def ready(project: Project) -> Readiness:
    """Ask the running server: the front door for what it knows, or else every model now.

    Returns:
        For each model with an archive in the model store (behind a front door: for each
        registered one), its default version's readiness.

    Raises:
        MarqueeError: no server answers.
    """
    front = running(project)
    if front is not None:
        published = front.ping()["models"].items()
        return Readiness({(n, str(one["version"])): one.get("why") for n, one in published})
    with Management.of(project) as api, Inference.of(project) as inference:
        prober = Prober(api, inference.problem, project.model_store, Timing())
        wanted = {name: api.default(name) or one for name, one in defaults(project).items()}
        if not wanted:
            raise MarqueeError("the model store holds nothing that can be served: make archive")

        def settled() -> bool:
            prober.check(wanted)
            return not prober.awaits_answer

        until(settled, Timing().patience)  # each has answered, or had as long as it may take
        return prober.check(wanted)  # an answer may have come since the last look
