"""Workers on the nodes of a Ray cluster: each is an actor with a process of its own.

The process is the one that asks on this machine, so answers, failures and what is asked again are
the same. What lies on this machine is read here, what lies in S3 where it is asked.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import ray

from marquee import interrupts
from marquee.archives.inspection import Inspection
from marquee.bulk import s3
from marquee.bulk.items import Item, Orders, Reply, read
from marquee.bulk.process import SLOTS, WorkerProcess, unpacked
from marquee.bulk.run import Ask
from marquee.errors import MarqueeError
from marquee.ray import cluster
from marquee.ray.environment import LOCAL
from marquee.scratch import scratch

# Until the cluster has room for a first worker, or for one in the place of a lost one.
ROOM_SECONDS = 300.0
END_SECONDS = 10.0


class Seat:
    """An actor: a worker on some node, and the archive unpacked beside it."""

    def __init__(self, archive: list[Any], orders: Orders, title: str) -> None:
        """Take a reference to a packed archive, an array of its bytes.

        In a list, as Ray hands it on like that: it is to be had again where this is started anew.
        """
        self._held = ExitStack()
        (packed,) = ray.get(archive)
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
        MarqueeError: there is no such cluster, or no room on it.
    """
    title = f"{archive.model} {archive.version}"
    with _cluster(address):
        nodes = [one for one in cluster.nodes() if one.get("CPU")]  # a head may have none
        count = count or per_node * max(1, len(nodes))
        options = _options(nodes, count)
        packed = ray.put(np.asarray(np.memmap(archive.path, np.uint8, "r")))
        made = ray.remote(Seat).options(**options)
        seats: list[Any] = [
            made.remote([packed], replace(orders, number=number, share=1), title)
            for number in range(count)
        ]
        try:
            _await(seats)
            yield [
                partial(_ask, seat, slot, orders.limit) for slot in range(SLOTS) for seat in seats
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


def _ask(seat: Any, slot: int, limit: int, items: list[Item]) -> Reply:
    near = [item if s3.is_address(item.path) else read(item, limit) for item in items]
    try:
        reply: Reply = ray.get(seat.ask.remote(slot, near))
    except ray.exceptions.RayTaskError as error:
        raise MarqueeError(cluster.line(error.cause)) from error
    except ray.exceptions.RayActorError:
        _await([seat])
        return Reply([], "the worker was lost with its node", blamed=True)
    except ray.exceptions.RayError as error:
        raise MarqueeError(f"the cluster cannot go on: {cluster.line(error)}") from error
    return reply


def _await(seats: list[Any]) -> None:
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
                f"no worker starts on the cluster: {cluster.line(error)}; its nodes need what this "
                "environment has, and marquee"
            ) from error
    raise MarqueeError(
        f"the cluster had no room for a worker within {ROOM_SECONDS:g} s; end what else runs on "
        "it ('ray status' shows that), or ask for fewer with --workers"
    )


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    # Ray tells of a lost worker on standard output, which is for what the command says.
    with redirect_stdout(sys.stderr):
        if address == LOCAL:
            with scratch() as folder, cluster.started(folder / "ray"):
                yield
        else:
            with cluster.joined(address, f"say --address {LOCAL}"):
                yield
