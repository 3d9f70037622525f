"""A limit of memory as a container has one: the kernel kills a worker, and everything goes on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.front.conftest import haproxy  # noqa: F401 - a fixture
from tests.front.support import wait_for
from tests.server.test_content_types import SHIP
from tests.starved.scarcity import Memory, little_memory
from tests.support import BIN, Running, make_project, marquee, serving

pytestmark = pytest.mark.server
# A picture of 2048 x 2048 takes more than 1 GB to paint, one of 64 x 64 nothing that counts.
ROOM_MEGABYTES = 300
LARGE, SMALL = 2048, 64


@pytest.fixture(scope="module")
def memory() -> Iterator[Memory]:
    """What bounds the server."""
    with little_memory() as group:
        yield group


@pytest.fixture(scope="module")
def bounded(
    haproxy: Path,  # noqa: F811
    memory: Memory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """A server for which the machine has no more memory than it takes, and a little."""
    project = make_project(tmp_path_factory.mktemp("bounded") / "project", "cifar", "inkwash")
    built = marquee(project, "archive")
    assert built.returncode == 0, built.stderr
    with serving(project, *memory.command, BIN / "marquee", "serve", "--front") as running:
        memory.leave(ROOM_MEGABYTES)
        yield running


def photo(side: int) -> bytes:
    """A picture of noise."""
    pixels = np.random.default_rng(16).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_worker_that_the_kernel_kills_is_told_and_replaced(
    bounded: Running, memory: Memory
) -> None:
    others = bounded.worker_pids("cifar", "2.0")
    with bounded.client() as client:

        def paint(side: int) -> tuple[int, str]:
            headers = {"X-Marquee-Size": str(side)}
            answer = client.post("/predictions/inkwash", content=photo(side), headers=headers)
            refused = answer.status_code != 200
            return answer.status_code, answer.json()["message"] if refused else ""

        for _ in range(2):
            # Without its worker a model is a 503, once TorchServe has noticed.
            wait_for(lambda: paint(SMALL) == (200, ""), "a worker")
            status, said = paint(LARGE)
            # 500 where TorchServe misses the worker before it knows how the process ended.
            assert status in (500, 507)
            assert "memory ran out" in said
            # The other model's worker has seen nothing of it.
            assert client.post("/predictions/cifar", content=SHIP).json()["label"] == "ship"
        wait_for(lambda: paint(SMALL) == (200, ""), "the new worker")
    assert memory.killed >= 2
    assert bounded.worker_pids("cifar", "2.0") == others
