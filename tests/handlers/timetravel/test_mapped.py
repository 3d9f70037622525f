"""Weights in a mapped file leave memory and come back unchanged; all others stay."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from handlers.runtime.weights import fit_state, read_state
from handlers.timetravel.mapped import let_go, mapped_pages

SIDE = 1024
BYTES = 4 * SIDE * SIDE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is mapped")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "with a space.pth"
    torch.manual_seed(0)
    torch.save(nn.Linear(SIDE, SIDE).state_dict(), path)
    return path


@pytest.fixture
def network(file: Path) -> nn.Linear:
    with torch.device("meta"):
        made = nn.Linear(SIDE, SIDE)
    fit_state(made, read_state(file), file, assign=True)
    return made


def resident(file: Path) -> int:
    """Return the bytes of a mapped file that are in this process' memory."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split(maxsplit=1)[0]
        if not first.endswith(":"):
            inside = line.endswith(str(file))
        elif inside and first == "Rss:":
            total += int(line.split()[1]) * 1024
    return total


def test_what_was_let_go_is_out_of_memory_and_comes_back(file: Path, network: nn.Linear) -> None:
    expected = torch.load(file, weights_only=True)["weight"]
    assert torch.equal(network.weight, expected)
    assert resident(file) >= BYTES
    pages = mapped_pages(network, file)
    assert let_go(pages) > 0.99 * BYTES
    assert resident(file) < 0.05 * BYTES
    assert torch.equal(network.weight, expected)
    # The pages are where they were, and can be let go again.
    assert resident(file) >= BYTES
    assert let_go(pages) > 0.99 * BYTES
    assert resident(file) < 0.05 * BYTES
    assert torch.equal(network.weight, expected)


def test_weights_that_are_not_the_files_stay(file: Path, network: nn.Linear) -> None:
    converted = copy.deepcopy(network).to(torch.bfloat16)
    before = converted.weight.clone()
    assert mapped_pages(converted, file) == []
    assert torch.equal(converted.weight, before)


def test_weights_of_another_file_stay(tmp_path: Path, network: nn.Linear) -> None:
    assert mapped_pages(network, tmp_path / "other.pth") == []


def test_nothing_to_let_go() -> None:
    assert let_go([]) == 0
