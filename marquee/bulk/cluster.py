"""Workers on the nodes of a Ray cluster: each is an actor with a process of its own.

The process is the one that asks on this machine, so answers, failures and what is asked again are
the same. What lies on this machine is read here, what lies in S3 where it is asked.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from marquee import interrupts
from marquee.archives.inspection import Inspection
from marquee.bulk import s3
from marquee.bulk.items import Item, Orders, Reply, read
from marquee.bulk.process import SLOTS, WorkerProcess, unpacked
from marquee.bulk.run import Ask
from marquee.errors import MarqueeError
from marquee.scratch import scratch

LOCAL = "local"
# Until the cluster has room for a first worker, or for one in the place of a lost one.
ROOM_SECONDS = 300.0
END_SECONDS = 10.0
KNOCK_SECONDS = 5.0
STORE_BYTES = 512 << 20
# A Unix socket's path may have 107 bytes, and Ray's longest has so many behind its folder.
LONGEST_FOLDER = 107 - len("/session_2026-11-29_02-25-17_280123_4194304/sockets/plasma_store")


class Seat:
    """An actor: a worker on some node, and the archive unpacked beside it."""

    def __init__(self, archive: list[Any], orders: Orders, title: str) -> None:
        """Take a reference to a packed archive, an array of its bytes.

        In a list, as Ray hands it on like that: it is to be had again where this is started anew.
        """
        self._held = ExitStack()
        (packed,) = importlib.import_module("ray").get(archive)
        folder = self._held.enter_context(unpacked(io.BytesIO(memoryview(packed))))
        self._process = WorkerProcess(folder, orders, None, title)

    def ask(self, slot: int, items: list[Item]) -> Reply:
        """Have a batch answered; see :meth:`WorkerProcess.ask`."""
        return self._process.ask(slot, items)

    def is_there(self) -> bool:
        """Answer, which tells that a node has taken it."""
        return True

    def close(self) -> None:
        """End the worker, and remove the archive."""
        self._process.close()
        self._held.close()


@contextmanager
def crew(
    address: str, archive: Inspection, orders: Orders, count: int | None, per_node: int
) -> Iterator[list[Ask]]:
    """Lend what asks the workers on a cluster.

    Args:
        address: of a cluster, ``auto``, or ``local`` to start one on this machine.
        archive, orders: what they load and have to know.
        count: how many workers there are to be; None is ``per_node`` on each node.

    Raises:
        MarqueeError: Ray is not installed, there is no such cluster, or no room on it.
    """
    ray = _library(own=address == LOCAL)
    title = f"{archive.model} {archive.version}"
    with _joined(ray, address):
        nodes = [one["Resources"] for one in ray.nodes() if one["Alive"]]
        nodes = [resources for resources in nodes if resources.get("CPU")]  # a head may have none
        count = count or per_node * max(1, len(nodes))
        options = _options(nodes, count)
        packed = ray.put(np.asarray(np.memmap(archive.path, np.uint8, "r")))
        made = ray.remote(Seat).options(**options)
        seats = [
            made.remote([packed], replace(orders, number=number, share=1), title)
            for number in range(count)
        ]
        try:
            _await(ray, seats)
            yield [
                partial(_ask, ray, seat, slot, orders.limit)
                for slot in range(SLOTS)
                for seat in seats
            ]
        finally:
            with suppress(ray.exceptions.RayError):
                ray.get([seat.close.remote() for seat in seats], timeout=END_SECONDS)


def _options(nodes: list[dict[str, float]], count: int) -> dict[str, Any]:
    """Return what each of so many actors reserves: its share of the processors, and any GPU."""
    smallest = int(min((node["CPU"] for node in nodes), default=1))
    together = int(sum(node["CPU"] for node in nodes))
    gpus = sum(node.get("GPU", 0) for node in nodes)
    return {
        "num_cpus": max(1, min(smallest, together // count)),
        "num_gpus": min(1.0, gpus / count),
        "max_concurrency": SLOTS + 1,
        "max_restarts": -1,
    }


def _ask(ray: Any, seat: Any, slot: int, limit: int, items: list[Item]) -> Reply:
    near = [item if s3.is_address(item.path) else read(item, limit) for item in items]
    try:
        reply: Reply = ray.get(seat.ask.remote(slot, near))
    except ray.exceptions.RayTaskError as error:
        raise MarqueeError(_line(error.cause)) from error
    except ray.exceptions.RayActorError:
        _await(ray, [seat])
        return Reply([], "the worker was lost with its node", blamed=True)
    except ray.exceptions.RayError as error:
        raise MarqueeError(f"the cluster cannot go on: {_line(error)}") from error
    return reply


def _await(ray: Any, seats: list[Any]) -> None:
    """Wait until a node has taken one of the workers, anew where its node was lost.

    Raises:
        MarqueeError: none has, or none can.
    """
    deadline = time.monotonic() + ROOM_SECONDS
    asked = [seat.is_there.remote() for seat in seats]
    while time.monotonic() < deadline:
        interrupts.check()
        found, _ = ray.wait(asked, timeout=1)
        try:
            if found:
                ray.get(found[0])
                return
        except ray.exceptions.ActorUnavailableError:  # it is being started elsewhere
            time.sleep(1)
            asked = [seat.is_there.remote() for seat in seats]
        except ray.exceptions.RayError as error:
            raise MarqueeError(
                f"no worker starts on the cluster: {_line(error)}; its nodes need what this "
                "environment has, and marquee"
            ) from error
    raise MarqueeError(
        f"the cluster had no room for a worker within {ROOM_SECONDS:g} s; end what else runs on "
        "it ('ray status' shows that), or ask for fewer with --workers"
    )


@contextmanager
def _joined(ray: Any, address: str) -> Iterator[None]:
    """Be connected to a cluster in the block; one of our own ends with it.

    Raises:
        MarqueeError: there is no such cluster, or it cannot be joined.
    """
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    # Ray tells of a lost worker on standard output, which is for what the command says.
    with scratch() as folder, redirect_stdout(sys.stderr):
        if address == LOCAL:
            quiet |= _own(folder)
        try:
            _connect(ray, address, quiet)
            yield
        finally:
            ray.shutdown()


def _connect(ray: Any, address: str, options: dict[str, Any]) -> None:
    try:
        _knock(address)
        with interrupts.kept():  # Ray has a SIGTERM raise wherever the program is
            ray.init(address=address, **options)
    except ConnectionError as error:
        raise MarqueeError(
            f"there is no Ray cluster at {address} ({_line(error)}); start one (ray start --head), "
            f"or say --address {LOCAL}"
        ) from error
    except (RuntimeError, ValueError) as error:
        advice = "; use the same on all machines" if "mismatch" in str(error) else ""
        raise MarqueeError(
            f"the cluster at {address} cannot be joined ({_line(error)}){advice}"
        ) from error


def _knock(address: str) -> None:
    """Try whether anybody listens at an address: Ray would for a minute and a half.

    Raises:
        ConnectionError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdecimal():
            socket.create_connection((host, int(port)), KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"nobody listens there: {error}") from error


def _own(folder: Path) -> dict[str, Any]:
    """Return what starts a cluster on this machine that leaves nothing in the user's home.

    Raises:
        MarqueeError: the temporary folder's path is too long for Ray's sockets.
    """
    if len(os.fsencode(folder)) > LONGEST_FOLDER:
        raise MarqueeError(
            f"the temporary folder {folder} has a path that is too long for Ray's sockets, "
            f"expected at most {LONGEST_FOLDER} bytes; set TMPDIR to a shorter one"
        )
    return {
        "include_dashboard": False,
        "_temp_dir": str(folder),
        "object_store_memory": STORE_BYTES,
    }


def _library(*, own: bool) -> Any:
    """Return Ray, told to report nothing to anybody.

    A cluster of our ``own`` has a token of its own: Ray would write one into the user's home. It is
    read when Ray is loaded.

    Raises:
        MarqueeError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if own and "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MarqueeError(
            "--address needs Ray, which is not installed here; run: "
            ".venv/bin/pip install -e '.[ray]'"
        ) from error


def _line(error: object) -> str:
    return " ".join(str(error).split())[:300]
