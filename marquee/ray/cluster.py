"""A cluster: one of our own on this machine, or one that is there."""

from __future__ import annotations

import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from marquee import interrupts
from marquee.errors import MarqueeError

# A Unix socket's path may have 107 bytes, and Ray's longest has so many behind its folder.
LONGEST = len("/session_2026-11-29_02-25-17_280123_4194304/sockets/plasma_store")
SOCKET_BYTES = 107
# Of a cluster of our own: requests and archives pass through it.
STORE_BYTES = 512 << 20
CONNECT_SECONDS = 5.0


@contextmanager
def joined(address: str, otherwise: str) -> Iterator[None]:
    """Be connected to a cluster in the block.

    Args:
        address: of the cluster's head, such as ``10.0.0.5:6379``, or ``auto`` for the one that runs
            on this machine.
        otherwise: what to do without one, for the message.

    Raises:
        MarqueeError: there is no such cluster, or it cannot be joined.
    """
    try:
        _join(address, otherwise)
        yield
    finally:
        ray.shutdown()


@contextmanager
def started(folder: Path, **options: Any) -> Iterator[None]:
    """Be connected to a cluster on this machine that lasts as long as the block.

    Args:
        folder: for its files; it leaves nothing in the user's home.
        options: of ``ray.init``, beside those that it has here.

    Raises:
        MarqueeError: the folder's path is too long for Ray's sockets, or Ray does not start.
    """
    length = len(os.fsencode(folder))
    if length + LONGEST > SOCKET_BYTES:
        raise MarqueeError(
            f"Ray's folder {folder} has a path of {length} bytes, expected at most "
            f"{SOCKET_BYTES - LONGEST} (the paths of its sockets may have {SOCKET_BYTES}); set "
            "TEMP or TMPDIR to a shorter one"
        )
    options |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        try:
            _init(_temp_dir=str(folder), **options)
        except Exception as error:  # Ray has no narrower one for a node that is not up in time
            raise MarqueeError(
                f"Ray does not start here: {line(error)}; is the machine busy with other work, or "
                "short of memory?"
            ) from error
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _init(**options: Any) -> None:
    # What it says of its own steps is said better by ours.
    for name in ("ray", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with interrupts.kept():  # Ray has a SIGTERM raise wherever the program is
        ray.init(
            log_to_driver=False, logging_level=logging.ERROR, configure_logging=False, **options
        )


def _join(address: str, otherwise: str) -> None:
    try:
        _knock(address, otherwise)
        _init(address=address)
    except ConnectionError as error:
        raise MarqueeError(
            f"there is no Ray cluster at {address} ({line(error)}); start one (ray start --head), "
            f"or {otherwise}"
        ) from error
    except (RuntimeError, ValueError) as error:
        if "mismatch" in str(error):
            raise MarqueeError(
                f"the cluster at {address} is of another Ray or Python than this environment "
                f"({line(error)}); use the same on all machines"
            ) from error
        raise MarqueeError(f"the cluster at {address} cannot be joined: {line(error)}") from error


def _knock(address: str, otherwise: str) -> None:
    """Try whether anybody listens at a cluster's head: Ray itself would for a minute and a half.

    Raises:
        ConnectionError: nobody does.
        MarqueeError: it is no address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal() and int(port[:6]) < 1 << 16):
        if address == "auto":
            return
        raise MarqueeError(
            f"the cluster's address is {address!r}, expected HOST:PORT or auto; or {otherwise}"
        )
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise ConnectionError(f"nobody listens there: {error}") from error


def line(error: object) -> str:
    """Return what Ray says, on one line that can be read."""
    return " ".join(str(error).split())[:300]


def nodes() -> list[dict[str, float]]:
    """Return what each node of the cluster has: ``CPU``, ``GPU``, and more."""
    known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [one["Resources"] for one in known if one["Alive"]]


def check_gpus(wanted: dict[str, float]) -> None:
    """Refuse models that ask for a GPU where the cluster has none, or none that large.

    Args:
        wanted: GPUs of a worker, by the name of its model and version.

    Raises:
        MarqueeError: which one asks for how many.
    """
    there = max((one.get("GPU", 0.0) for one in nodes()), default=0.0)
    for name, gpus in wanted.items():
        if gpus > there:
            has = f"the largest node has {there:g}" if there else "the cluster has none"
            raise MarqueeError(
                f"{name} asks for {gpus:g} GPUs a worker, and {has}; add a node with one, or let "
                "its model-config.yaml ask for less (ray: gpus, marquee: device, deviceType)"
            )
