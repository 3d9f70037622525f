"""Everything that would keep the server from starting, found before it is started."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from marquee.archives.build import in_store
from marquee.archives.rooms import names, versions
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.serving import envelope
from marquee.serving.properties import ADDRESSES, DEFAULTS, GRPC_PORTS, variable

# TorchServe unpacks every archive into its temporary folder; some room beside for logs.
SPARE_BYTES = 256 << 20
SERVER_CLASS = "org.pytorch.serve.ModelServer"


def check(project: Project, *, front: bool = False) -> None:
    """Check in the order in which a person would want to hear of it.

    Args:
        project: what is to be served.
        front: whether HAProxy listens at the addresses, with TorchServe behind it.

    Raises:
        MarqueeError: the first thing found, and what to do about it.
    """
    project.make_temp()
    check_not_running(project)
    check_families(project.properties, front=front)
    check_ports(project.properties)
    check_archives(project)
    envelope.check(project, (path for path, _ in in_store(project.model_store)))
    check_disk(project)


def pid_file(project: Project) -> Path:
    """Return TorchServe's pid file: its launcher writes it to the temporary folder."""
    return project.temp / ".model_server.pid"


def running_pid(project: Project) -> int | None:
    """Return the process id of the project's running server, or None."""
    path = pid_file(project)
    try:
        process = psutil.Process(int(path.read_text()))
        alive = process.status() != psutil.STATUS_ZOMBIE and SERVER_CLASS in process.cmdline()
    except (FileNotFoundError, ValueError, psutil.Error):
        return None
    return process.pid if alive else None


def check_not_running(project: Project) -> None:
    """Refuse a second server on the same temporary folder: it would take the first's sockets."""
    pid = running_pid(project)
    if pid is not None:
        raise MarqueeError(
            f"a server of this project is already running (process {pid}); stop it with "
            "'marquee stop', or give this one its own TEMP folder and ports"
        )


def check_families(properties: Mapping[str, str], *, front: bool) -> None:
    """Refuse IPv6 addresses where TorchServe itself would have to listen: it does not know them."""
    for name in ("metrics_address",) if front else ADDRESSES:
        if ":" in (urlsplit(properties[name]).hostname or ""):
            other = "" if name == "metrics_address" else ", or start it with --front"
            raise MarqueeError(
                f"{name} is {properties[name]}, and TorchServe cannot listen at IPv6 addresses; "
                f"set {variable(name)} to one of IPv4, such as {DEFAULTS[name]}{other}"
            )


def check_ports(properties: dict[str, str]) -> None:
    """Try to bind every port that the server will listen on."""
    for name in ADDRESSES:
        parts = urlsplit(properties[name])
        if parts.port is not None and parts.hostname:
            _check_port(name, parts.hostname, parts.port)
    for name in GRPC_PORTS:
        _check_port(name, "127.0.0.1", int(properties[name]))


def _check_port(name: str, host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the server does: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise MarqueeError(
                f"port {port} on {host} ({name}) cannot be used: {error.strerror}; stop what uses "
                f"it, or set {variable(name)} to another"
            ) from error


def check_archives(project: Project) -> None:
    """Every version that the project describes must lie in the store, and be readable."""
    present = {path.name for path, _ in in_store(project.model_store)}
    wanted = [model.archive_name for name in names(project) for model in versions(project, name)]
    missing = [name for name in wanted if name not in present]
    if missing or not present:
        what = ", ".join(missing) or "any archive"
        raise MarqueeError(f"{project.model_store} lacks {what}; build it: make archive")


def check_disk(project: Project) -> None:
    """The archives are unpacked to the temporary folder: there must be room for them."""
    needed = sum(path.stat().st_size for path, _ in in_store(project.model_store)) + SPARE_BYTES
    free = shutil.disk_usage(project.make_temp()).free
    if free < needed:
        raise MarqueeError(
            f"{project.temp} has {free >> 20} MB free, unpacking the archives takes "
            f"{needed >> 20} MB; free some, or set TEMP to a folder on another disk"
        )
