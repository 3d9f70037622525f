from pathlib import Path

import pytest

from marquee.project import Project
from marquee.serving import server

LOG = """\
2026-11-21T22:59:13,1 INFO  W-9000-cifar_2.0-stdout Torch worker started.
2026-11-21T22:59:14,1 INFO  W-9000-cifar_2.0-stdout Backend worker process died.
2026-11-21T22:59:14,2 INFO  W-9000-cifar_2.0-stdout Traceback (most recent call last):
2026-11-21T22:59:14,3 INFO  W-9000-cifar_2.0-stdout   File "x.py", line 1, in load
2026-11-21T22:59:14,4 INFO  W-9000-cifar_2.0-stdout     network = load(path)
2026-11-21T22:59:14,5 INFO  W-9000-cifar_2.0-stdout handlers.runtime.weights.WeightsError: too short
2026-11-21T22:59:15,5 INFO  W-9001-cifar_1.0-stdout Torch worker started.
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "model_log.log").write_text(LOG)
    return Project(tmp_path)


def test_the_cause_of_a_failed_load_is_found_in_the_log(project: Project) -> None:
    assert server.worker_failures(project, "cifar", "2.0") == 1
    assert server.worker_failures(project, "cifar", "1.0") == 0
    assert server.first_cause(project, "cifar", "2.0").endswith("WeightsError: too short")
    assert "could not be registered" in server.first_cause(project, "cifar", "1.0")


def test_of_unknown_versions_the_highest_is_the_default(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [("a", "9.0"), ("a", "10.0"), ("a", "1.0-beta"), ("b", "1.0")]
    (project.root / "handlers").mkdir()
    monkeypatch.setattr(server, "models", lambda _: found)
    assert server.defaults(project) == {"a": "10.0", "b": "1.0"}
