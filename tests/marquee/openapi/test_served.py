"""The document of archives that nobody serves."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from marquee.project import Project
from tests.support import free_ports, make_project, marquee

MANIFEST = {"model": {"modelName": "m", "modelVersion": "1.0", "handler": "handler.py"}}
HANDLER = """
import json

def handle(data, context):
    offer = {"consumes": ["image/*"], "produces": ["image/png"]}
    said = {"side": {"type": "integer", "description": "of the picture", "default": None}}
    return [json.dumps({**offer, "parameters": {"properties": said}})]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose store has one archive, of a handler that describes itself."""
    made = make_project(tmp_path / "project")
    with zipfile.ZipFile(made.model_store / "m-1.0.mar", "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(MANIFEST))
        archive.writestr("handler.py", HANDLER)
    return made


@pytest.mark.slow
def test_without_a_server_the_archives_are_asked(project: Project) -> None:
    (port,) = free_ports(1)
    nobody = {"TS_MANAGEMENT_ADDRESS": f"http://127.0.0.1:{port}"}
    done = marquee(project, "openapi", "--front", **nobody)
    assert done.returncode == 0, done.stderr
    post = json.loads(done.stdout)["paths"]["/predictions/m"]["post"]
    assert [one["name"] for one in post["parameters"]] == ["X-Marquee-Side", "side"]
    assert post["parameters"][1]["schema"] == {"type": "integer"}
    assert "image/jpeg" in post["requestBody"]["content"]
    done = marquee(project, "openapi", "n", **nobody)
    assert done.returncode == 1
    assert "no server runs, and the model store has no 'n'; it has: m" in done.stderr
