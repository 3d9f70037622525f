"""More bytes at once than Java's heap holds: none is lost, and Java does not end of it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from marquee import javaproperties
from marquee.project import Project
from tests.front.conftest import haproxy  # noqa: F401 - a fixture
from tests.front.test_forms import picture
from tests.support import BIN, SHORT_LIVED, Running, serving

pytestmark = pytest.mark.server
MB = 1 << 20
HEAP_MB, MOST_MB, CLIENTS = 256, 30, 24


@pytest.fixture(scope="module")
def cramped(
    haproxy: Path,  # noqa: F811
    small_project: Project,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """A server whose Java has room for a few large bodies."""
    folder = tmp_path_factory.mktemp("cramped") / "project"
    project = Project(shutil.copytree(small_project.root, folder))
    options = f"{SHORT_LIVED} -Xmx{HEAP_MB}m -XX:+ExitOnOutOfMemoryError"
    with project.config_file.open("a") as file:
        file.write(f"\n{javaproperties.line('vmargs', options)}\n")
    most = str(MOST_MB * MB)
    command = (BIN / "marquee", "serve", "--front")
    with serving(project, *command, TS_MAX_REQUEST_SIZE=most) as running:
        yield running


def test_bodies_that_do_not_fit_together_come_one_after_the_other(cramped: Running) -> None:
    assert CLIENTS * (MOST_MB - 1) > 2 * HEAP_MB
    workers = cramped.worker_pids("cifar", "2.0")
    # A picture, and behind its end what nobody reads.
    large = picture("JPEG") + bytes((MOST_MB - 1) * MB)
    with cramped.client() as client, ThreadPoolExecutor(CLIENTS) as pool:

        def ask(body: bytes) -> int:
            return client.post("/predictions/cifar", content=body).status_code

        assert Counter(pool.map(ask, [large] * CLIENTS)) == {200: CLIENTS}
    assert cramped.worker_pids("cifar", "2.0") == workers
