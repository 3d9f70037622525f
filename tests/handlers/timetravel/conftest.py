from __future__ import annotations

from pathlib import Path

import pytest
import torch

from handlers.timetravel.handler import TimetravelHandler
from tests.handlers.timetravel.support import content, serve, tiny


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
