"""What is in the image, and SageMaker's own serializers as its client. Run by make image-test."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.container.hosts import HARDENED, IMAGE, Served, ServedImage, engine, serving
from tests.handlers.script import scripts
from tests.handlers.script.harness import make_folder

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not IMAGE, reason="no image to test; make image-test builds one"),
]
# A Python that has the SageMaker SDK, too large a thing for our own environment.
SDK = os.environ.get("MARQUEE_SDK", "")
CLIENT = Path(__file__).parent / "sdk_client.py"


def shell(command: str) -> str:
    assert IMAGE is not None
    done = engine("run", "--rm", *HARDENED, IMAGE, "sh", "-c", command)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def described() -> Any:
    assert IMAGE is not None
    return json.loads(engine("image", "inspect", IMAGE).stdout)[0]["Config"]


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A script that has the toolkit's own functions decode and encode."""
    base = tmp_path_factory.mktemp("coded") / "ml"
    make_folder(base / "model", scripts.CODED)
    with serving(base) as served:
        yield served


def test_it_describes_itself(described: Any) -> None:
    assert described["User"] == "1001"
    assert described["StopSignal"] == "SIGTERM"
    assert described["Cmd"] == ["serve"]
    assert "health" in described["Healthcheck"]["Test"]
    labels = described["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert labels["com.amazonaws.sagemaker.capabilities.multi-models"] == "true"


def test_no_tools_and_no_caches_are_left_inside() -> None:
    assert shell("command -v cc gcc g++ make git curl || true") == ""
    assert shell("ls -d /root/.cache /tmp/.cache /var/lib/apt/lists/*_* 2>/dev/null || true") == ""
    assert shell("find / -xdev -perm -4000 -user root -path '*venv*' 2>/dev/null || true") == ""


def test_it_runs_as_nobody_in_particular() -> None:
    assert shell("id -u") == "1001"
    assert shell("touch /opt/marquee/x 2>/dev/null && echo written || echo refused") == "refused"


def test_another_command_is_run_as_it_is() -> None:
    assert IMAGE is not None
    assert "marquee" in engine("run", "--rm", IMAGE, "marquee", "--version").stdout
    done = engine("run", "--rm", IMAGE, "no-such-command", check=False)
    assert done.returncode == 1
    assert "there is no command 'no-such-command'" in done.stderr


def test_the_health_check_asks_the_door(echo: Served) -> None:
    assert isinstance(echo, ServedImage)
    ask = ("exec", echo.name, "python", "-m", "marquee.container", "health")
    assert engine(*ask).stdout.strip() == "healthy"


def test_nothing_but_tmp_is_written(echo: Served) -> None:
    assert isinstance(echo, ServedImage)
    # With a read-only root the engine itself makes what it mounts on.
    changed = [line[2:].split("/")[1] for line in engine("diff", echo.name).stdout.splitlines()]
    assert {*changed} <= {"etc", "dev", "run", "tmp", "opt", "proc", "sys"}


@pytest.mark.skipif(not SDK, reason="MARQUEE_SDK names no Python with the SageMaker SDK")
def test_sagemakers_own_serializers(echo: Served) -> None:
    url = f"http://127.0.0.1:{echo.port}/invocations"
    done = subprocess.run([SDK, CLIENT, url], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "json": [[2.0, 4.0], [6.0, 8.0]],
        "csv": [["2.0"], ["4.0"]],  # one row is a vector to the toolkit
        "numpy": [[2.0, 4.0], [6.0, 8.0]],
        "identity": "[2.0, 4.0]",
        "bytes": "[2.0, 4.0]",
    }
