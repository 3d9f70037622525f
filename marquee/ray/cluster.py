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
from urllib.parse import SplitResult, urlsplit

import ray

from marquee import interrupts
from marquee.errors import MarqueeError
from marquee.project import Project

FOLDER = "ray"
# A Unix socket's path may have 107 bytes, and Ray's longest has so many behind its folder.
LONGEST = len("/session_2026-11-29_02-25-17_280123_4194304/sockets/plasma_store")
SOCKET_BYTES = 107
# Of a cluster of our own: requests and archives pass through it.
STORE_BYTES = 512 << 20
CONNECT_SECONDS = 5.0


@contextmanager
def joined(project: Project, address: str | None) -> Iterator[None]:
    """Be connected to a cluster in the block; one of our own ends with it.

    Args:
        address: of the cluster's head, such as ``10.0.0.5:6379``, or ``auto`` for the one that runs
            on this machine; None starts one.

    Raises:
        MarqueeError: there is no such cluster, or it cannot be joined or started.
    """
    # What it says of its own steps is said better by ours.
    for name in ("ray", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if address is None:
        folder = project.make_temp() / FOLDER
        try:
            _start(folder, urlsplit(project.properties["metrics_address"]))
            yield
        finally:
            ray.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
        return
    _join(address)
    try:
        yield
    finally:
        ray.shutdown()


def _start(folder: Path, metrics: SplitResult) -> None:
    if len(os.fsencode(folder)) + LONGEST > SOCKET_BYTES:
        raise MarqueeError(
            f"Ray's folder {folder} has a path of {len(os.fsencode(folder))} bytes, expected at "
            f"most {SOCKET_BYTES - LONGEST} (the paths of its sockets may have {SOCKET_BYTES}); "
            "set TEMP to a shorter one"
        )
    _init(
        include_dashboard=False,
        _temp_dir=str(folder),
        _metrics_export_port=metrics.port,
        object_store_memory=STORE_BYTES,
    )


def _init(**options: Any) -> None:
    # Ray has a SIGTERM raise wherever the program is.
    with interrupts.kept():
        ray.init(
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            **options,
        )


def _join(address: str) -> None:
    _check_there(address)
    try:
        _init(address=address)
    except ConnectionError as error:
        raise _not_there(address, error) from error
    except (RuntimeError, ValueError) as error:
        if "mismatch" in str(error):
            raise MarqueeError(
                f"the cluster at {address} is of another Ray or Python than this environment "
                f"({_line(error)}); use the same on all machines"
            ) from error
        raise MarqueeError(f"the cluster at {address} cannot be joined: {_line(error)}") from error


def _check_there(address: str) -> None:
    """Knock at a cluster's head: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and int(port[:6]) < 1 << 16):
        if address == "auto":
            return
        raise MarqueeError(f"the cluster's address is {address!r}, expected HOST:PORT, or auto")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise _not_there(address, error) from error


def _not_there(address: str, error: Exception) -> MarqueeError:
    return MarqueeError(
        f"there is no Ray cluster at {address} ({_line(error)}); start one: ray start --head, or "
        "leave --address out to have one on this machine"
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def check_gpus(wanted: dict[str, float]) -> None:
    """Refuse models that ask for a GPU where the cluster has none, or none that large.

    Args:
        wanted: GPUs of a worker, by the name of its model and version.

    Raises:
        MarqueeError: which one asks for how many.
    """
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    there = max((one["Resources"].get("GPU", 0.0) for one in nodes if one["Alive"]), default=0.0)
    for name, gpus in wanted.items():
        if gpus > there:
            has = f"the largest node has {there:g}" if there else "the cluster has none"
            raise MarqueeError(
                f"{name} asks for {gpus:g} GPUs a worker, and {has}; add a node with one, or let "
                "its model-config.yaml ask for less (ray: gpus, marquee: device, deviceType)"
            )
