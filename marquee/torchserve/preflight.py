"""Everything that would keep the server from starting, found before it is started."""

from __future__ import annotations

import shutil
import socket
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from marquee.archives import listing, reader, rooms, trust
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.properties import ADDRESSES, DEFAULTS, GRPC_PORTS, variable
from marquee.torchserve.server import running_pid

# TorchServe unpacks every archive into its temporary folder; some room beside for logs.
SPARE_BYTES = 256 << 20
# A regular expression that no URL matches, as config.properties has it.
NO_URL = "none"
# In every archive whose handler is one of marquee's, and in no other.
OURS = "handlers/runtime/exchange.py"


def check(project: Project, *, front: bool = False) -> None:
    """Check in the order in which a person would want to hear of it.

    Args:
        front: whether HAProxy listens at the addresses, with TorchServe behind it.

    Raises:
        MarqueeError: the first thing found, and what to do about it.
    """
    project.make_temp()
    check_not_running(project)
    check_families(project.properties, front=front)
    check_ports(project.properties)
    check_archives(project)
    check_trust(project)
    check_envelope(project, (one.path for one in listing.scan(project.model_store).archives))
    check_disk(project)


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


def check_ports(
    properties: dict[str, str],
    setting: Callable[[str], str] = variable,
    names: Collection[str] = (*ADDRESSES, *GRPC_PORTS),
) -> None:
    """Try to bind every port that the server will listen on.

    Args:
        properties: where the addresses and ports stand.
        setting: returns, for a property, what a user would set to have another port.
        names: the properties with the addresses and ports that it will listen on.
    """
    for name in (one for one in ADDRESSES if one in names):
        parts = urlsplit(properties[name])
        if parts.port is not None and parts.hostname:
            _check_port(name, parts.hostname, parts.port, setting(name))
    for name in (one for one in GRPC_PORTS if one in names):
        _check_port(name, "127.0.0.1", int(properties[name]), setting(name))


def _check_port(name: str, host: str, port: int, setting: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the server does: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise MarqueeError(
                f"port {port} on {host} ({name}) cannot be used: {error.strerror}; stop what uses "
                f"it, or set {setting} to another"
            ) from error


def check_archives(project: Project) -> None:
    """There must be something to serve; what is not served is said by :func:`left_out`."""
    if not listing.scan(project.model_store).archives:
        lacks = ", ".join(_missing(project)) or "any archive that can be served"
        others = "".join(f"; {sentence}" for sentence in left_out(project, missing=False))
        raise MarqueeError(f"{project.model_store} lacks {lacks}; build it: make archive{others}")


def left_out(project: Project, *, missing: bool = True) -> Iterator[str]:
    """Yield a sentence for everything that somebody may expect and that is not served.

    That includes the archives of rooms that the store lacks, unless ``missing`` is false.
    """
    yield from listing.scan(project.model_store).passed_over
    if missing:
        for name in _missing(project):
            yield f"{project.model_store} lacks {name}, which is not served; build it: make archive"


def _missing(project: Project) -> Iterator[str]:
    """Yield the file names of the rooms' archives that are not in the store."""
    present = {one.path.name for one in listing.scan(project.model_store).archives}
    for name in rooms.names(project):
        try:
            wanted = [model.archive_name for model in rooms.versions(project, name)]
        except MarqueeError as error:
            wanted = [f"{name} ({error})"]  # such as lost weights
        yield from (archive for archive in wanted if archive not in present)


def check_envelope(project: Project, archives: Iterable[Path]) -> None:
    """Refuse a service envelope (``kserve``, …) where an archive's handler unwraps by itself.

    The server has one envelope for all its models. It hands on the instances of all requests of a
    batch as one list, which a handler that answers each request by itself can make nothing of.

    Raises:
        MarqueeError: which archives these are.
    """
    envelope = project.properties["service_envelope"]
    own = [path.name for path in archives if _is_ours(path)] if envelope else []
    if own:
        raise MarqueeError(
            f"service_envelope is {envelope!r} (TS_SERVICE_ENVELOPE), and the handlers of "
            f"{', '.join(own)} take "
            '{"instances": …} as it is sent, without one; unset it, or serve them elsewhere'
        )


def _is_ours(archive: Path) -> bool:
    if archive.is_dir():
        return (archive / OURS).is_file()
    try:
        with zipfile.ZipFile(archive) as opened:
            return OURS in opened.namelist()
    except reader.DAMAGE:
        return False  # told as what it is, by whoever unpacks it


def check_trust(project: Project) -> None:
    """Refuse what would bring archives before TorchServe that no key has signed.

    Raises:
        MarqueeError: signatures cannot be checked, or TorchServe may fetch archives by itself.
    """
    allowed = project.properties.get("allowed_urls", "any")
    if trust.keys(project) and allowed != NO_URL:
        raise MarqueeError(
            f"{trust.PROPERTY} names keys, and allowed_urls is {allowed!r}: TorchServe itself "
            f"would fetch archives that nobody checks; set allowed_urls={NO_URL}, and give "
            "archives to marquee by their paths"
        )


def check_disk(project: Project) -> None:
    """The archives are unpacked to the temporary folder: there must be room for them."""
    archives = listing.scan(project.model_store).archives
    needed = sum(one.path.stat().st_size for one in archives) + SPARE_BYTES
    free = shutil.disk_usage(project.make_temp()).free
    if free < needed:
        raise MarqueeError(
            f"{project.temp} has {free >> 20} MB free, unpacking the archives takes "
            f"{needed >> 20} MB; free some, or set TEMP to a folder on another disk"
        )
