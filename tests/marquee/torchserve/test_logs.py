import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest

from marquee.archives import listing
from marquee.archives.manifest import Manifest
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve import logs as module
from marquee.torchserve.logs import Line, logs
from tests.support import ROOT

DAY = "2026-01-02T03:04:"
ACCESS = f"""\
{DAY}05,100 /127.0.0.1:5 "GET /models/cifar HTTP/1.1" 200 1
{DAY}05,300 /127.0.0.1:5 "POST /predictions/cifar/2.0 HTTP/1.1" 500 7
{DAY}05,500 /127.0.0.1:5 "POST /predictions/inkwash HTTP/1.1" 404 7
"""
MODEL = f"""\
{DAY}05,200 INFO  W-9001-cifar_2.0-stdout request id-1 failed
{DAY}05,200 INFO  W-9002-my_net_1.0-stdout all is well
{DAY}05,201 INFO  W-9001-cifar_2.0-stdout Traceback (most recent call last):
{DAY}05,202 INFO  W-9001-cifar_2.0-stdout   File "x.py", line 1, in f
{DAY}05,203 INFO  W-9001-cifar_2.0-stdout ZeroDivisionError: told to
{DAY}05,204 INFO  W-9001-cifar_2.0-stdout the next one
"""
SERVER = f"""\
{DAY}05,400 ERROR epollEventLoopGroup-3-1 org.pytorch.Some - broke
java.io.IOException: why
\tat org.pytorch.Some.where(Some.java:1)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("LOG_LOCATION", str(tmp_path))
    for name, text in (("access", ACCESS), ("model", MODEL), ("ts", SERVER)):
        (tmp_path / f"{name}_log.log").write_text(text)
    return Project(ROOT)


def texts(lines: Iterable[Line]) -> list[str]:
    return [line.text.split(" HTTP")[0].split('"')[-1] for line in lines]


def test_all_logs_in_the_order_of_time_without_our_own_polling(project: Project) -> None:
    found = texts(logs(project, last=50))
    assert found[0] == "request id-1 failed"
    assert found[5:] == [
        "the next one",
        "POST /predictions/cifar/2.0",
        "epollEventLoopGroup-3-1 org.pytorch.Some - broke",
        "java.io.IOException: why",
        "\tat org.pytorch.Some.where(Some.java:1)",
        "POST /predictions/inkwash",
    ]


def test_the_last_lines_only(project: Project) -> None:
    assert texts(logs(project, last=1)) == ["POST /predictions/inkwash"]


def test_one_model(project: Project) -> None:
    assert texts(logs(project, model="my_net", last=9)) == ["all is well"]
    about = [*logs(project, model="cifar", last=50)]
    assert {(line.model, line.version) for line in about} == {("cifar", "2.0")}
    assert about[-1].source == "access"


def test_a_version_with_an_underscore_is_known_by_its_archive(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model_log.log").write_text(
        f"{DAY}05,200 INFO  W-9001-net_2.0_beta-stdout beta\n"
        f"{DAY}05,201 INFO  W-9002-my_net_1.0-stdout other\n"
    )
    manifest = Manifest("net", "2.0_beta", "handler.py", {}, {})
    store = listing.Listing((listing.Archive(Path("a.mar"), manifest),), (), ())
    monkeypatch.setattr(listing, "scan", lambda _: store)
    found = [*logs(project, model="net", last=9)]
    assert [(line.version, line.text) for line in found] == [("2.0_beta", "beta")]


def test_a_store_that_cannot_be_read_keeps_nobody_from_the_logs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_: Path) -> None:
        raise MarqueeError("it cannot be read")

    monkeypatch.setattr(listing, "scan", closed)
    assert texts(logs(project, model="my_net", last=9)) == ["all is well"]


def test_a_requests_story_has_its_traceback_and_no_more(project: Project) -> None:
    story = texts(logs(project, request="id-1", last=50))
    assert story[0] == "request id-1 failed"
    assert story[-1] == "ZeroDivisionError: told to"
    assert len(story) == 4


def test_levels(project: Project) -> None:
    errors = [*logs(project, level="ERROR", last=50)]
    assert [line.source for line in errors] == [*["model"] * 3, "access", *["server"] * 3]
    warnings = [*logs(project, level="WARN", last=50)]
    assert len(warnings) == len(errors) + 1


def test_follow_goes_on_where_it_was_also_in_a_new_file(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FOLLOW_SECONDS", 0.01)
    path = tmp_path / "model_log.log"
    lines = logs(project, model="new", last=50, follow=True)
    with path.open("a") as file:
        file.write(f"{DAY}06,000 INFO  W-9001-new_1.0-stdout one\n{DAY}06,001 INFO  W-9001-ne")
    assert next(lines).text == "one"
    with path.open("a") as file:
        file.write("w_1.0-stdout two\n")
    path.rename(tmp_path / "rotated")
    path.write_text(f"{DAY}07,000 INFO  W-9001-new_1.0-stdout three\n")
    assert texts(itertools.islice(lines, 2)) == ["two", "three"]
    lines.close()


def test_no_logs_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LOCATION", str(tmp_path))
    with pytest.raises(MarqueeError, match="make serve"):
        next(logs(Project(ROOT), last=5))
