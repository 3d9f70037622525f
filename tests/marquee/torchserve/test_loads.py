"""Which workers failed to load, and why, from logs as TorchServe writes them."""

from __future__ import annotations

import json
import threading
import zipfile
from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve import loads
from marquee.torchserve.loads import LogMarks
from marquee.torchserve.management import Management, Version
from tests.marquee.versions.fake import FakeServer

START = LogMarks(model=0, server=0)
CAUGHT = (
    "optional is missing",
    "Traceback (most recent call last):",
    '  File "/t/handler.py", line 3, in <module>',
    "    import no_such_optional",
    "ModuleNotFoundError: No module named 'no_such_optional'",
)
DIED = (
    "Backend worker process died.",
    "Traceback (most recent call last):",
    '  File "/t/handler.py", line 9, in initialize',
    "    raise ValueError('the real one')",
    "ValueError: the real one",
)
# TorchServe answers for a RuntimeError or MemoryError itself, and then dies of its own.
ANSWERED = (
    "Failed to load model cifar, exception the moon",
    "Traceback (most recent call last):",
    '  File "/t/handler.py", line 4, in initialize',
    "RuntimeError: the moon",
    "Backend worker process died.",
    "Traceback (most recent call last):",
    '  File "/ts/model_service_worker.py", line 201, in handle_connection',
    '    raise RuntimeError("{} - {}".format(code, result))',
    "RuntimeError: 500 - Unknown exception",
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "logs").mkdir()
    (tmp_path / "config.properties").touch()
    (tmp_path / "model_store").mkdir()
    return Project(tmp_path)


def states(label: str, *changes: str, worker: int = 9000) -> str:
    name = f"W-{worker}-{label}"
    logger = "org.pytorch.serve.wlm.WorkerThread"
    return "".join(
        f"2026-11-28T11:37:34,029 DEBUG {name} {logger} - {name} State change {change}\n"
        for change in changes
    )


def said(label: str, *lines: str, worker: int = 9000, stream: str = "stdout") -> str:
    start = f"2026-11-28T11:37:33,029 INFO  W-{worker}-{label}-{stream} "
    return "".join(f"{start}{line}\n" for line in lines)


def process(label: str, *lines: str, worker: int = 9000) -> str:
    return said(label, "s_name_part0=/t/.ts.sock, s_name_part1=9000, pid=1", *lines, worker=worker)


def write(project: Project, *, server: str = "", model: str = "") -> None:
    (project.logs / "ts_log.log").write_text(server)
    (project.logs / "model_log.log").write_text(model)


WARNED = (
    "2026-11-28T11:37:34,264 WARN  W-9005-cifar_1.0 org.pytorch.serve.wlm.BatchAggregator - "
    "Load model failed: cifar, error: Worker died.\n"
)
FAILED = "null -> WORKER_STARTED", "WORKER_STARTED -> WORKER_STOPPED"
LOADED = "null -> WORKER_STARTED", "WORKER_STARTED -> WORKER_MODEL_LOADED"


def cause(project: Project, name: str = "cifar", version: str = "1.0") -> str:
    found = loads.load_failure(project, name, version, START)
    assert found is not None
    return found.cause


def test_a_traceback_that_a_model_caught_is_no_failure(project: Project) -> None:
    write(project, server=states("cifar_1.0", *LOADED), model=process("cifar_1.0", *CAUGHT))
    assert loads.failed_loads(project, "cifar", "1.0", START) == []
    assert loads.load_failure(project, "cifar", "1.0", START) is None


def test_a_models_own_words_are_no_failure(project: Project) -> None:
    words = ("Backend worker process died.", "Load model failed: cifar", *ANSWERED)
    write(project, server=states("cifar_1.0", *LOADED), model=process("cifar_1.0", *words))
    assert loads.load_failure(project, "cifar", "1.0", START) is None


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        (FAILED, 1),
        (("null -> WORKER_STARTED", "WORKER_STARTED -> WORKER_ERROR"), 0),
        (("WORKER_STARTED -> WORKER_ERROR", "WORKER_ERROR -> WORKER_STOPPED"), 1),
        ((*LOADED, "WORKER_MODEL_LOADED -> WORKER_STOPPED"), 0),
        (("WORKER_STARTED -> WORKER_SCALED_DOWN", "WORKER_SCALED_DOWN -> WORKER_STOPPED"), 0),
        (("null -> WORKER_STOPPED", "WORKER_STOPPED -> WORKER_STOPPED"), 2),
    ],
)
def test_failures_are_counted_by_the_states_of_workers(
    project: Project, changes: tuple[str, ...], count: int
) -> None:
    write(project, server=states("cifar_1.0", *changes))
    assert len(loads.failed_loads(project, "cifar", "1.0", START)) == count


def test_what_came_before_the_mark_does_not_count(project: Project) -> None:
    write(project, server=states("cifar_1.0", *FAILED))
    assert loads.failed_loads(project, "cifar", "1.0", LogMarks.now(project)) == []


def test_without_the_states_torchserves_warning_tells(project: Project) -> None:
    write(project, server=WARNED)
    assert loads.failed_loads(project, "cifar", "1.0", START) == ["9005"]


@pytest.mark.parametrize("name", ["net", "my_net", "wnet", "net_1.0-x"])
def test_models_with_names_that_end_alike_are_told_apart(project: Project, name: str) -> None:
    names = ("net", "my_net", "wnet", "net_1.0-x")
    model = "".join(
        process(f"{one}_1.0", "Backend worker process died.", DIED[1], f"ValueError: of {one}")
        for one in names
    )
    write(project, server=states(f"{name}_1.0", *FAILED), model=model)
    for one in names:
        failed = loads.load_failure(project, one, "1.0", START)
        assert (failed is not None) == (one == name)
    assert cause(project, name) == f"ValueError: of {name}"


def test_the_traceback_that_ended_the_worker_is_shown(project: Project) -> None:
    write(project, server=states("cifar_1.0", *FAILED), model=process("cifar_1.0", *CAUGHT, *DIED))
    assert cause(project) == "ValueError: the real one"


def test_what_the_next_process_says_is_not_of_the_failure(project: Project) -> None:
    log = process("cifar_1.0", *DIED) + process("cifar_1.0", *CAUGHT)
    write(project, server=states("cifar_1.0", *FAILED), model=log)
    assert cause(project) == "ValueError: the real one"


def test_what_another_worker_says_is_not_of_the_failure(project: Project) -> None:
    other = process("cifar_1.0", "Backend worker process died.", DIED[1], "OSError: x", worker=9001)
    write(
        project,
        server=states("cifar_1.0", *FAILED),
        model=process("cifar_1.0", *DIED) + other,
    )
    assert cause(project) == "ValueError: the real one"


def test_of_a_process_whose_last_words_are_lost_an_earlier_one_tells(project: Project) -> None:
    changes = (*FAILED, "WORKER_STOPPED -> WORKER_STARTED", FAILED[1])
    log = process("cifar_1.0", *DIED) + process("cifar_1.0", "model_name: cifar, batchSize: 1")
    write(project, server=states("cifar_1.0", *changes), model=log)
    assert len(loads.failed_loads(project, "cifar", "1.0", START)) == 2
    assert cause(project) == "ValueError: the real one"


def test_torchserves_own_error_after_an_answered_failure_is_not_shown(project: Project) -> None:
    write(project, server=states("cifar_1.0", *FAILED), model=process("cifar_1.0", *ANSWERED))
    assert cause(project) == "RuntimeError: the moon"


def test_a_worker_that_is_killed_after_a_caught_traceback_left_none(project: Project) -> None:
    log = process("cifar_1.0", *CAUGHT) + said("cifar_1.0", "bye bye", stream="stderr")
    write(project, server=states("cifar_1.0", *FAILED), model=log)
    found = loads.load_failure(project, "cifar", "1.0", START)
    assert found is not None
    assert not found.traced
    assert "left no traceback" in found.cause
    assert "bye bye" in found.cause
    assert "no_such_optional" not in found.cause


def test_a_worker_that_does_not_answer_in_time_is_told_in_torchserves_words(
    project: Project,
) -> None:
    stack = (
        "2026-11-28T11:37:35,029 ERROR W-9000-cifar_1.0 org.pytorch.serve.wlm.WorkerThread - "
        "Backend worker error\n"
        "org.pytorch.serve.wlm.WorkerInitializationException: Backend worker did not respond in "
        "given time\n\tat org.pytorch.serve.wlm.WorkerThread.run(WorkerThread.java:1)\n"
    )
    server = states("cifar_1.0", FAILED[0]) + stack + states("cifar_1.0", FAILED[1])
    write(project, server=server)
    assert "did not respond in given time" in cause(project)


def archive(project: Project, requirements: bytes | None) -> None:
    model = {"modelName": "cifar", "modelVersion": "1.0", "handler": "handler.py"}
    with zipfile.ZipFile(project.model_store / "cifar-1.0.mar", "w") as made:
        made.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": model}))
        made.writestr("handler.py", "")
        if requirements is not None:
            made.writestr("requirements.txt", requirements)


MISSES = ("Backend worker process died.", DIED[1], "ModuleNotFoundError: No module named 'a_b.c'")


@pytest.mark.parametrize(
    ("requirements", "named"),
    [
        (b"numpy\nA-B==2.0  # why\n", "A-B==2.0"),
        ("a_b>=1\n".encode("utf-16"), "a_b>=1"),
        (b"numpy\nno-such-distribution-of-a-b\n", "no-such-distribution-of-a-b"),
    ],
)
def test_a_missing_module_that_the_archive_asks_for_is_named_so(
    project: Project, requirements: bytes, named: str
) -> None:
    archive(project, requirements)
    write(project, server=states("cifar_1.0", *FAILED), model=process("cifar_1.0", *MISSES))
    assert f"the archive's requirements.txt asks for {named}," in cause(project)


def test_a_scripts_own_list_is_looked_into(project: Project) -> None:
    archive(project, None)
    path = "sagemaker/code/requirements.txt"
    with zipfile.ZipFile(project.model_store / "cifar-1.0.mar", "a") as made:
        made.writestr(path, "a-b\n")
    write(project, server=states("cifar_1.0", *FAILED), model=process("cifar_1.0", *MISSES))
    assert f"the archive's {path} asks for a-b," in cause(project)


@pytest.mark.parametrize("requirements", [None, b"", b"numpy\n", b"-r other.txt\n\x00\xff"])
def test_no_hint_where_the_archive_asks_for_nothing_that_is_missing(
    project: Project, requirements: bytes | None
) -> None:
    archive(project, requirements)
    write(project, server=states("cifar_1.0", *FAILED), model=process("cifar_1.0", *MISSES))
    assert cause(project) == "ModuleNotFoundError: No module named 'a_b.c'"


def test_a_damaged_neighbour_costs_the_hint_only(project: Project) -> None:
    archive(project, b"a-b\n")
    (project.model_store / "a.mar").write_bytes(b"no zip")
    write(project, server=states("cifar_1.0", *FAILED), model=process("cifar_1.0", *MISSES))
    assert "No module named" in cause(project)


def told(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the error about a version of which no worker ever becomes ready."""
    unready = Version.of({**FakeServer().describe(), "workers": []})
    monkeypatch.setattr(Management, "describe", lambda *_: unready)
    api = Management("http://127.0.0.1:1", keys=None)
    with api, pytest.raises(MarqueeError) as caught:
        loads.wait_loaded(project, api, "cifar", "1.0", since=START, seconds=20)
    return str(caught.value)


def test_a_traceback_that_is_logged_late_is_waited_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, server=WARNED)
    log, traced = project.logs / "model_log.log", process("cifar_1.0", *DIED, worker=9005)
    late = threading.Timer(1.0, log.write_text, (traced,))
    late.start()
    said = told(project, monkeypatch)
    late.join()
    assert "ValueError: the real one" in said
    assert "no traceback" not in said


def test_a_killed_worker_is_told_as_such(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, server=WARNED)
    assert "its worker died and left no traceback" in told(project, monkeypatch)
