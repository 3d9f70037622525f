from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from handlers.timetravel.handler import TimetravelHandler
from tests.handlers.timetravel.support import content, serve, tiny


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other at every small layer are slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def handler(tmp_path_factory: pytest.TempPathFactory) -> TimetravelHandler:
    """The handler with a tiny network, ages painted two at a time."""
    path = tmp_path_factory.mktemp("tiny") / "sam.pt"
    torch.save(content(tiny()), path)
    return serve(path, options={"ages_at_once": 2})


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A tiny checkpoint of the published layout."""
    path = tmp_path / "sam.pt"
    torch.save(content(tiny()), path)
    return path
