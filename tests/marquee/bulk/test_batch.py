"""Whatever becomes of an input, it gets one row, and the others theirs."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

import marquee
from marquee.archives import golden
from marquee.bulk.items import Item, Orders
from marquee.bulk.process import WorkerProcess, unpacked
from marquee.bulk.run import BatchReport
from marquee.client.request import PredictionRequest
from marquee.errors import MarqueeError
from marquee.files import locked
from marquee.processes import wait_ended
from marquee.project import Project
from tests.marquee.bulk.conftest import LIMIT, make, rows_of
from tests.support import BIN, clean_environment

FINE = {f"{number}.png": b"x" * number for number in range(6)}
WORDS = ("KILL", "RAISE", "BAD", "LONG", "PIC", "BUSY")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[BatchReport, Path]:
    """What came of a folder with all that goes wrong."""
    base = tmp_path_factory.mktemp("batch")
    source = base / "in"
    (source / "deep" / "er").mkdir(parents=True)
    for name, body in FINE.items():
        (source / name).write_bytes(body)
    for word in WORDS:
        (source / "deep" / f"{word}.bin").write_text(f"{word} it")
    (source / "deep" / "er" / "large.png").write_bytes(b"x" * (LIMIT + 1))
    (source / "deep" / "back").symlink_to(source)
    (source / "gone.png").symlink_to("nowhere")
    (source / "itself.png").symlink_to("itself.png")
    (source / ".hidden.png").write_bytes(b"x")
    os.mkfifo(source / "pipe.png")
    report = marquee.batch(
        make(base / "project"), "net", str(source), source / "out", parameters={"k": "v"}
    )
    return report, source / "out"


def test_each_input_has_one_row(outcome: tuple[BatchReport, Path]) -> None:
    report, output = outcome
    names = {*FINE, *(f"deep/{word}.bin" for word in WORDS)}
    names |= {"deep/er/large.png", "gone.png", "itself.png"}
    assert {*rows_of(output)} == names
    assert (report.inputs, report.failed, report.before) == (len(names), 6, 0)


def test_an_answer_that_is_json_stands_in_its_row(outcome: tuple[BatchReport, Path]) -> None:
    row = rows_of(outcome[1])["5.png"]
    answer = row.pop("answer")
    assert (answer["length"], answer["type"], answer["k"]) == (5, "image/png", "v")
    assert row.pop("seconds").items() >= {"decode": 0.0015, "model": 0.02}.items()
    assert row == {
        "input": "5.png",
        "status": 200,
        "type": "application/json",
        "file": None,
        "error": None,
    }


@pytest.mark.parametrize(
    ("name", "status", "told"),
    [
        ("deep/KILL.bin", None, "the worker was ended by SIGKILL when it was asked, and again"),
        ("deep/RAISE.bin", 503, "503 the handler raised ValueError: no such thing"),
        ("deep/BAD.bin", 415, "415 it is bad"),
        ("deep/er/large.png", None, f"it has {LIMIT + 1} bytes, at most {LIMIT} are taken"),
        ("gone.png", None, "it cannot be read: No such file or directory"),
        ("itself.png", None, "it cannot be read: Too many levels of symbolic links"),
    ],
)
def test_what_fails_says_why(
    outcome: tuple[BatchReport, Path], name: str, status: int | None, told: str
) -> None:
    row = rows_of(outcome[1])[name]
    assert row["error"].startswith(told)
    assert (row["status"], row["answer"], row["file"]) == (status, None, None)


def test_what_a_busy_worker_refused_is_asked_again(outcome: tuple[BatchReport, Path]) -> None:
    assert rows_of(outcome[1])["deep/BUSY.bin"]["answer"]["count"] == 1


@pytest.mark.parametrize(
    ("name", "suffix", "begin"),
    [("deep/PIC.bin", ".png", b"\x89PNG\r\n\x1a\nPIC it"), ("deep/LONG.bin", ".json", b'"xxx')],
)
def test_pictures_and_long_texts_are_files(
    outcome: tuple[BatchReport, Path], name: str, suffix: str, begin: bytes
) -> None:
    _, output = outcome
    row = rows_of(output)[name]
    assert row["file"].endswith(suffix)
    assert (output / row["file"]).read_bytes().startswith(begin)
    assert (row["answer"], row["error"]) == (None, None)


def test_the_same_again_has_nothing_to_do(outcome: tuple[BatchReport, Path]) -> None:
    _, output = outcome
    project = Project(output.parents[1] / "project")
    report = marquee.batch(
        project, "net", str(output.parent), output, parameters={"k": "v"}, workers=3
    )
    assert (report.before, report.inputs) == (15, 15)


def test_another_question_is_refused(outcome: tuple[BatchReport, Path]) -> None:
    _, output = outcome
    project = Project(output.parents[1] / "project")
    with pytest.raises(MarqueeError, match='parameters was {"k": "v"} and is {}; name another'):
        marquee.batch(project, "net", str(output.parent), output)


def started(project: Project, *words: str, **variables: str) -> subprocess.Popen[str]:
    """Start the command as a user does."""
    return subprocess.Popen(
        [BIN / "marquee", "batch", "net", *words],
        cwd=project.root,
        env=clean_environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def count(table: Path) -> int:
    return len(table.read_bytes().splitlines()) if table.exists() else 0


def test_a_killed_run_goes_on_where_it_was(net: Project, tmp_path: Path) -> None:
    """Nothing that has a row is asked twice, and no worker outlives the command."""
    asked, table = tmp_path / "asked", net.root / "out" / "results.jsonl"
    (net.root / "in").mkdir()
    for number in range(80):
        (net.root / "in" / f"{number}.bin").write_text(f"WAIT {number}")
    first = started(net, "in", "out", "--workers", "1", ASKED=str(asked))
    deadline = time.monotonic() + 60
    while count(table) < 12 and time.monotonic() < deadline:
        time.sleep(0.02)
    family = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert wait_ended(family, 10) == []
    done, before = {*rows_of(net.root / "out")}, asked.read_text()
    assert 12 <= len(done) < 80
    with table.open("a") as rows:
        rows.write('{"input": "cut')  # as a machine that stops leaves it
    second = started(net, "in", "out", "--workers", "1", "--json", ASKED=str(asked))
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 0
    report = json.loads(said)
    assert (report["before"], report["inputs"], report["failed"]) == (len(done), 80, 0)
    all_rows = rows_of(net.root / "out")
    assert {*all_rows} == {f"{number}.bin" for number in range(80)}
    assert max(row["answer"]["count"] for row in all_rows.values()) == 4  # the archive's batchSize
    later = asked.read_text().removeprefix(before).split("\n")
    assert not done & {f"{line.removeprefix('WAIT ')}.bin" for line in later if line}


def test_a_signal_stops_it_in_a_sentence(net: Project) -> None:
    (net.root / "list.txt").write_text("x\n")
    run = started(net, "list.txt", "out")
    deadline = time.monotonic() + 60
    while not (net.root / "out" / "worker.log").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    assert said.startswith("stopped: the same command goes on; 0 of 0 have an answer")


def test_a_worker_that_hangs_is_ended(net: Project, tmp_path: Path) -> None:
    request = PredictionRequest("net")
    orders = Orders(request, batch=1, limit=10, timeout=0.5, startup=60)
    with unpacked(net.model_store / "net-1.0.mar") as folder:
        worker = WorkerProcess(folder, orders, tmp_path / "log", "net 1.0")
        reply = worker.ask(0, [Item("x", data=b"HANG")])
        worker.close()
    told = "no answer within 0.5 s (responseTimeout)"
    assert (reply.results, reply.died, reply.blamed) == ([], told, True)


def test_a_model_that_does_not_load_is_told(tmp_path: Path) -> None:
    project = make(
        tmp_path / "project",
        handler="def handle(data, context):\n  raise\nraise OSError('no such thing')\n",
    )
    (tmp_path / "list.txt").write_text("x\n")
    with pytest.raises(
        MarqueeError, match="net 1.0 does not load: OSError: no such thing; .*worker.log has"
    ):
        marquee.batch(project, "net", str(tmp_path / "list.txt"), tmp_path / "out")


def test_the_archives_own_example_is_answered_as_it_was_when_it_was_made(
    small_project: Project, tmp_path: Path
) -> None:
    request, *_ = golden.read(next(small_project.model_store.glob("cifar-*.mar")))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "example.png").write_bytes(request.body)
    marquee.batch(small_project, "cifar", str(tmp_path / "in"), tmp_path / "out")
    row = rows_of(tmp_path / "out")["example.png"]
    answer = json.dumps(row["answer"]).encode()
    assert request.problem(row["status"], row["type"], answer) is None


def test_two_runs_do_not_write_to_one_folder(net: Project, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "list.txt").write_text("x\n")
    with (
        locked(tmp_path / "out" / ".lock"),
        pytest.raises(MarqueeError, match="another marquee batch is writing to"),
    ):
        marquee.batch(net, "net", str(tmp_path / "list.txt"), tmp_path / "out")


def test_what_is_missing_is_told(net: Project, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MarqueeError, match="holds nothing to ask about; hidden files"):
        marquee.batch(net, "net", str(tmp_path / "empty"), tmp_path / "out")
    with pytest.raises(MarqueeError, match=r"there is no archive nat; the model store holds net-1"):
        marquee.batch(net, "nat", str(tmp_path / "empty"), tmp_path / "other")
    with pytest.raises(MarqueeError, match="has no archive of net '2.0'"):
        marquee.batch(net, "net", str(tmp_path / "empty"), tmp_path / "other", version="2.0")
    with pytest.raises(MarqueeError, match="parameter k='ä' is not plain ASCII"):
        marquee.batch(
            net, "net", str(tmp_path / "empty"), tmp_path / "other", parameters={"k": "ä"}
        )
    assert not (tmp_path / "other").exists()
