"""`marquee models`, `status` and `logs` of a running server."""

import json
from hashlib import sha256
from pathlib import Path

import psutil
import pytest

from marquee.project import Project
from marquee.serving.status import status
from marquee.torchserve.models import models
from tests.support import ROOT, Running, make_project, marquee


@pytest.fixture
def here(server: Running, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The served project, seen from a shell with the server's environment."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return Project(server.project.root)


def test_models_tells_what_is_served(here: Project, server: Running) -> None:
    found = {(one.name, one.version): one for one in models(here)}
    cifar = found["cifar", "2.0"]
    assert cifar.default
    assert not found["cifar", "1.0"].default
    assert (cifar.state, cifar.ready, cifar.wanted, cifar.queue) == ("ready", 1, 1, 100)
    assert (cifar.batch_size, cifar.batch_delay, cifar.devices) == (32, 1, ("cpu",))
    (pid,) = server.worker_pids("cifar", "2.0")
    assert cifar.memory == pytest.approx(psutil.Process(pid).memory_info().rss, rel=0.1)
    assert cifar.since is not None
    assert abs(cifar.since.timestamp() - psutil.Process(pid).create_time()) < 5
    archive = here.model_store / "cifar-2.0.mar"
    assert cifar.sha256 == sha256(archive.read_bytes()).hexdigest()
    assert not cifar.replaced


def test_an_archive_that_was_built_since_is_marked(here: Project) -> None:
    archive = here.model_store / "cifar-1.0.mar"
    before = archive.stat()
    archive.touch()
    try:
        marked = [(one.name, one.version) for one in models(here) if one.replaced]
    finally:
        import os  # noqa: PLC0415

        os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert marked == [("cifar", "1.0")]


def test_models_as_a_table_and_as_json(here: Project, server: Running) -> None:
    table = marquee(here, "models", **server.environment).stdout
    row = next(line for line in table.splitlines() if line.startswith("cifar ") and "2.0" in line)
    assert "2.0 default" in row
    assert "1/1 ready" in row
    found = json.loads(marquee(here, "models", "--json", **server.environment).stdout)
    assert {"cifar", "faulty", "inkwash"} == {one["name"] for one in found}
    weights = {(one["name"], one["version"]): one["weights"] for one in found}
    assert weights["cifar", "2.0"] == "demo"
    assert weights["faulty", "1.0"].startswith("your faulty.pth ")
    assert all(one in table for one in weights.values())
    digests = {one["sha256"][:12] for one in found}
    assert all(digest in table for digest in digests)


def test_status_tells_of_the_process_and_never_a_key(here: Project, server: Running) -> None:
    said = marquee(here, "status", **server.environment)
    assert said.returncode == 0, said.stderr
    assert said.stderr == ""
    for words in ("running for", "Java ", "heap up to 2g", "inference key", "are ready"):
        assert words in said.stdout
    assert server.inference in said.stdout
    everything = said.stdout + marquee(here, "status", "--json", **server.environment).stdout
    for key in json.loads(here.key_file.read_text()).values():
        assert key["key"] not in everything


def test_what_the_server_lacks_is_told(here: Project, server: Running) -> None:
    for words, lack in {
        ("nope", "--workers", "1"): "no model 'nope'; it has: cifar",
        ("cifar", "--version", "7.0", "--workers", "1"): "no cifar '7.0'; it has: 1.0",
    }.items():
        said = marquee(here, "scale", *words, **server.environment)
        assert said.returncode == 1
        assert f"the server has {lack}" in said.stderr


def test_status_in_numbers(here: Project) -> None:
    found = status(here)
    assert found.process is not None
    assert found.process.java.split(".")[0].isdecimal()
    assert found.process.memory == pytest.approx(
        psutil.Process(found.process.pid).memory_info().rss, rel=0.3
    )
    assert all(address.answers for address in found.addresses.values())
    assert found.tokens is not None
    token = found.tokens["management"]
    assert token.left is not None
    assert 0 <= token.age.total_seconds() < 3600
    assert (token.age + token.left).total_seconds() == pytest.approx(3600, abs=1)
    assert found.warnings == []


def test_a_shell_that_looks_elsewhere_is_told_so(
    here: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TS_INFERENCE_ADDRESS", "http://127.0.0.1:9")
    found = status(Project(here.root))
    assert not found.addresses["inference"].answers
    assert found.addresses["management"].answers


def test_ready_is_an_exit_code(
    here: Project, server: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    said = marquee(here, "status", "--ready", **server.environment)
    assert (said.returncode, said.stdout) == (0, "ready\n")
    idle = make_project(tmp_path_factory.mktemp("idle") / "project")
    said = marquee(idle, "status", "--ready")
    assert said.returncode == 1
    assert said.stdout.startswith("not ready: no server of this project is running")
    said = marquee(idle, "status")
    assert said.returncode == 1
    assert "not running" in said.stdout


def test_an_open_management_address_is_warned_of(tmp_path: Path) -> None:
    said = marquee(
        make_project(tmp_path / "open"),
        "status",
        TS_MANAGEMENT_ADDRESS="http://0.0.0.0:8081",
    )
    assert "Warning: management_address listens on 0.0.0.0" in said.stderr
    assert "can run code here" in said.stderr


def test_the_logs_of_one_model(here: Project, server: Running) -> None:
    said = marquee(here, "logs", "inkwash", "-n", "5", **server.environment)
    lines = said.stdout.splitlines()
    assert len(lines) == 5
    assert all(" inkwash" in line for line in lines)


def test_a_batch_is_no_line_of_the_models_log(here: Project, server: Running) -> None:
    photo = (ROOT / "handlers" / "cifar" / "example.png").read_bytes()
    with server.client() as client:
        assert client.post("/predictions/cifar", content=photo).status_code == 200
    log = (here.logs / "model_log.log").read_text()
    assert "Torch worker started" in log
    assert "Backend received" not in log
