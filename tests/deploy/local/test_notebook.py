"""The notebook runs as it stands, and its outputs are kept."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.deploy.local.support import UpCloud
from tests.support import BIN, ROOT, clean_environment

NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
MOST_BYTES = 1_000_000


def kinds(path: Path) -> list[list[str]]:
    """Return the types of each code cell's outputs."""
    cells: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    return [
        [output["output_type"] for output in cell["outputs"]]
        for cell in cells
        if cell["cell_type"] == "code"
    ]


def test_the_notebook_runs_to_its_end(cloud: UpCloud, tmp_path: Path) -> None:
    run = subprocess.run(
        [BIN / "jupyter-execute", "--output", tmp_path / "run.ipynb", NOTEBOOK],
        env=clean_environment(**cloud.known.environment, IPYTHONDIR=str(tmp_path)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert kinds(tmp_path / "run.ipynb") == kinds(NOTEBOOK)


def test_its_outputs_are_kept_and_small() -> None:
    shown = [kind for cell in kinds(NOTEBOOK) for kind in cell]
    assert shown.count("display_data") == 6
    assert "error" not in shown
    assert NOTEBOOK.stat().st_size < MOST_BYTES


def test_no_address_or_key_is_kept_in_it() -> None:
    text = NOTEBOOK.read_text()
    assert "127.0.0.1" not in text
    assert "X-Amz-Signature" not in text
