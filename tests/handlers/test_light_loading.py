"""What loading a model leaves out: packages of PyTorch's own that take a worker seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import ROOT, clean_environment

PROGRAM = """
import sys
from importlib import import_module
from pathlib import Path

import_module(sys.argv[1]).load_network(Path(sys.argv[2]))
print([name for name in ("sympy", "torch._dynamo") if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("module", "weights"),
    [
        ("handlers.cifar.model", "handlers/cifar/demo/lenet.pth"),
        ("handlers.timetravel.checkpoint", "handlers/timetravel/demo/timetravel_demo.pt"),
    ],
)
def test_loading_a_network_does_not_load_a_compiler(module: str, weights: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module, weights],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
