"""What `marquee serve` says and does when something is wrong, and how it ends."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path

import httpx
import psutil
import pytest

from marquee import processes
from marquee.project import Project
from tests.marquee.archives import odd
from tests.server.test_content_types import CIFAR, SHIP
from tests.support import (
    BIN,
    ROOT,
    Running,
    clean_environment,
    marquee,
    server_environment,
    serving,
)

pytestmark = pytest.mark.server


def family(running: Running) -> list[psutil.Process]:
    """Return the server's processes: Java and the workers below it."""
    pid = int((Path(running.environment["TEMP"]) / ".model_server.pid").read_text())
    java = psutil.Process(pid)
    return [java, *java.children(recursive=True)]


def all_gone(members: list[psutil.Process]) -> bool:
    return not processes.wait_ended(members, 30)


def test_a_second_server_of_the_same_project_is_refused(server: Running) -> None:
    said = marquee(server.project, "serve", TEMP=server.environment["TEMP"])
    assert said.returncode == 1
    assert "already running" in said.stderr
    assert "marquee stop" in said.stderr


def test_a_taken_port_is_told_before_anything_starts(server: Running, tmp_path: Path) -> None:
    special = dict(server.environment) | {"TEMP": str(tmp_path)}
    said = marquee(server.project, "serve", **special)
    assert said.returncode == 1
    assert "cannot be used" in said.stderr
    assert "TS_INFERENCE_ADDRESS" in said.stderr
    assert server.process.poll() is None


def mixed(small: Project, folder: Path) -> Project:
    """Archives of all forms beside what is none, one that is missing, and one of a bad name."""
    shutil.copytree(small.root, folder, ignore=shutil.ignore_patterns("logs", "key_file*"))
    store = folder / "model_store"
    odd.folder(store / "open", odd.model(modelName="open", modelVersion=None))
    odd.tar(store / "tarred.tar.gz", odd.model(modelName="tarred", modelVersion=1))
    odd.mar(store / "climb.mar", odd.model(modelName="../climb"))
    (store / "lost+found").mkdir(mode=0o700)
    (store / "empty").mkdir()
    shutil.copytree(ROOT / "handlers" / "smoke", folder / "handlers" / "smoke")
    return Project(folder)


def check_mixed(running: Running) -> None:
    """What can be served is, and the rest is told once."""
    project = running.project
    with running.client() as client, running.management() as management:
        for path in ("open", "open/1.0", "tarred", "tarred/1"):
            assert client.post(f"/predictions/{path}", content=b"hi").content == b"hi"
        assert client.post("/invocations?model_name=open", content=b"hi").content == b"hi"
        listed = [one["modelName"] for one in management.get("/models").json()["models"]]
    assert listed == ["cifar", "open", "tarred"]
    said = running.output.read_text()
    for words in ("the name is '../climb'", "lost+found has no", "empty has no", "smoke-1.0.mar"):
        assert said.count(words) == 1, said
    assert "-T FILE http" in said
    assert "/predictions/smoke" not in said
    assert marquee(project, "status", "--ready", **running.environment).stdout == "ready\n"
    table = marquee(project, "models", **running.environment).stdout
    assert "a folder" in next(line for line in table.splitlines() if line.startswith("open "))


def test_a_server_that_is_told_to_stop_leaves_nothing(
    small_project: Project, tmp_path: Path
) -> None:
    small_project = mixed(small_project, tmp_path / "mixed")
    with serving(small_project) as running:
        check_mixed(running)
        processes = family(running)
        assert len(processes) >= 2
        assert small_project.key_file.stat().st_mode & 0o777 == 0o600
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=60) == 0
        assert all_gone(processes)
        assert not small_project.key_file.exists()
        assert not list(Path(running.environment["TEMP"]).glob("models/*"))
        assert "Stopped." in running.output.read_text()


@pytest.mark.parametrize("words", [(), ("--front",)], ids=["alone", "front"])
def test_a_stop_while_models_load_leaves_nothing(
    small_project: Project, words: tuple[str, ...]
) -> None:
    with tempfile.TemporaryDirectory(prefix="mq-", dir="/tmp") as temp:
        process = subprocess.Popen(
            [BIN / "marquee", "serve", *words],
            cwd=small_project.root,
            env=clean_environment(**server_environment(Path(temp))),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        pid_file = Path(temp) / ".model_server.pid"
        deadline = time.monotonic() + 120
        while not pid_file.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        java = psutil.Process(int(pid_file.read_text()))
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert said.endswith("Stopped.\n")
        assert "Ready" not in said
        assert all_gone([java])
        assert not pid_file.exists()


def test_stop_from_elsewhere(small_project: Project) -> None:
    with serving(small_project) as running:
        processes = family(running)
        assert marquee(small_project, "stop", **running.environment).stdout == "stopped\n"
        assert all_gone(processes)
        assert running.process.wait(timeout=60) == 0
        assert running.output.read_text().endswith("\nStopped.\n")


def test_a_server_that_dies_is_told_and_its_workers_end(small_project: Project) -> None:
    with serving(small_project) as running:
        processes = family(running)
        os.kill(processes[0].pid, signal.SIGKILL)
        assert running.process.wait(timeout=60) == 1
        assert "TorchServe ended by itself: it left no word" in running.output.read_text()
        assert all_gone(processes)


def test_tokens_are_renewed_before_they_expire(small_project: Project) -> None:
    with serving(small_project, TS_TOKEN_EXPIRATION_TIME_MIN="0.2") as running:  # 12 s

        def token() -> str:
            return marquee(small_project, "token", **running.environment).stdout.strip()

        seen = {token()}
        deadline = time.monotonic() + 40
        while len(seen) < 3 and time.monotonic() < deadline:
            seen.add(current := token())
            answer = httpx.post(
                f"{running.inference}{CIFAR}",
                content=SHIP,
                headers={"Authorization": f"Bearer {current}"},
                timeout=60,
                trust_env=False,
            )
            assert answer.status_code == 200, answer.text
            time.sleep(1)
        assert len(seen) >= 3
        logs = [path.read_text() for path in small_project.logs.glob("*.log")]
        assert not [key for key in seen for log in logs if key in log]
        check_that_torchserves_own_stop_is_quiet(running)


def check_that_torchserves_own_stop_is_quiet(running: Running) -> None:
    """End a server, which has a start of its own and is not needed any more."""
    done = subprocess.run(
        [BIN / "torchserve", "--stop"],
        cwd=running.project.root,
        env=clean_environment(TMPDIR=running.environment["TEMP"]),
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert running.process.wait(timeout=60) == 0
    assert running.output.read_text().endswith("\nStopped.\n")


def serve_and_fail(project: Project) -> str:
    with tempfile.TemporaryDirectory(prefix="mq-", dir="/tmp") as temp:
        done = subprocess.run(
            [BIN / "marquee", "serve"],
            cwd=project.root,
            env=clean_environment(**server_environment(Path(temp))),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not (Path(temp) / ".model_server.pid").exists()
    assert done.returncode == 1
    return done.stderr


def with_other_handler(project: Project, folder: Path, code: str) -> Project:
    """Copy a project, and put other code into its archive behind marquee's back."""
    shutil.copytree(project.root, folder, ignore=shutil.ignore_patterns("logs", "key_file*"))
    path = folder / "model_store" / "cifar-2.0.mar"
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, content in (entries | {"handler.py": code.encode()}).items():
            new.writestr(name, content)
    return Project(folder)


def test_a_model_that_does_not_load_is_named_with_its_reason(
    small_project: Project, tmp_path: Path
) -> None:
    code = (
        "class Broken:\n"
        "    def initialize(self, context):\n"
        "        raise ValueError('the moon is full')\n"
        "    def handle(self, rows, context):\n"
        "        return rows\n"
    )
    broken = with_other_handler(small_project, tmp_path / "broken", code)
    said = serve_and_fail(broken)
    assert "cifar 2.0 does not load" in said
    assert "the moon is full" in said
    assert "model_log.log" in said


def test_a_damaged_archive_is_named(small_project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(small_project.root, folder, ignore=shutil.ignore_patterns("logs", "key_file*"))
    path = folder / "model_store" / "cifar-2.0.mar"
    path.write_bytes(path.read_bytes()[:10_000])
    said = serve_and_fail(Project(folder))
    assert "cifar-2.0.mar is no model archive" in said
    assert "make archive" in said
