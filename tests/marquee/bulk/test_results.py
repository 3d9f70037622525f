"""The folder of results: what is in it, and what it is not mixed up with."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from marquee.bulk import results
from marquee.bulk.feed import Feed, Names
from marquee.bulk.items import Item, Result
from marquee.errors import MarqueeError
from marquee.media import JSON

JOB = {"archive": "abc", "input": "/in", "parameters": {}}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new" / "out"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a/../b", "a\nb", "ä\udcff", "x" * 5000, "", "."]
)
def test_an_answers_file_stays_in_its_folder(name: str) -> None:
    made = results.answer_name(name, "image/png")
    folder, part, file = made.split("/")
    assert (folder, len(part)) == ("answers", 2)
    assert file.isascii()
    assert file.isprintable()
    assert len(file) < 100
    assert file.endswith(".png")


def test_inputs_that_look_alike_have_answers_of_their_own() -> None:
    names = ["a/b.png", "a_b.png", "A/B.png", "c/b.png", "b.png", "b.PNG"]
    assert len({results.answer_name(name, "image/png").lower() for name in names}) == len(names)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b'{"a": [1e-7, 12345678901234567890123]}', {"a": [1e-7, 12345678901234567890123]}),
        (b'{"a": NaN}', None),
        (b"{not json", None),
        (b"[" * 50_000 + b"]" * 10_000, None),
    ],
)
def test_only_json_that_every_reader_takes_stands_in_a_row(
    out: Path, body: bytes, answer: object
) -> None:
    with results.opened(out, JOB, again=False) as opened:
        row = opened.row(Result("x", 200, JSON, body))
    assert row["answer"] == answer
    assert (row["file"] is None) == (answer is not None)
    assert row["file"] is None or (out / row["file"]).read_bytes() == body


def test_a_last_row_that_is_cut_off_is_written_anew(out: Path) -> None:
    with results.opened(out, JOB, again=False) as opened:
        opened.add([opened.row(Result(name, 200, JSON, b"1")) for name in ("a", "b")])
        for torn in (b'{"inp', b'{"input": "c", "status": 20', b"\0\0\0\n"):
            with opened.table.open("ab") as table:
                table.write(torn)
            assert [row["input"] for row in results.recovered(opened.table)] == ["a", "b"]
        opened.add([opened.row(Result("c", 200, JSON, b"1"))])
        assert [row["input"] for row in results.recovered(opened.table)] == ["a", "b", "c"]


def test_rows_without_an_answer_are_taken_out_where_that_is_wanted(out: Path) -> None:
    with results.opened(out, JOB, again=False) as opened:
        opened.add(
            [opened.row(Result("a", 200, JSON, b"1")), opened.row(Result("b", 415, problem="no"))]
        )
    with results.opened(out, JOB, again=True) as opened:
        assert [row["input"] for row in results.recovered(opened.table)] == ["a"]


def test_a_row_that_is_damaged_elsewhere_is_told(out: Path) -> None:
    with results.opened(out, JOB, again=False) as opened:
        opened.table.write_text('{"input": "a"}\nbroken\n{"input": "b"}\n')
        with pytest.raises(MarqueeError, match="line 2 is no row; mend or delete the line"):
            [*results.recovered(opened.table)]


def test_a_folder_of_something_else_is_refused(out: Path) -> None:
    out.mkdir(parents=True)
    (out / "photo.png").write_bytes(b"x")
    with (
        pytest.raises(MarqueeError, match="holds photo.png, which no marquee batch has written"),
        results.opened(out, JOB, again=False),
    ):
        pass


def test_results_do_not_go_to_s3() -> None:
    with (
        pytest.raises(MarqueeError, match="to a folder of this machine, not to s3:/bucket/out"),
        results.opened(Path("s3://bucket/out"), JOB, again=False),
    ):
        pass


@pytest.mark.parametrize(("key", "value"), [("archive", "def"), ("parameters", {"k": "1"})])
def test_the_results_of_another_batch_are_not_mixed_with_these(
    out: Path, key: str, value: object
) -> None:
    with results.opened(out, JOB, again=False):
        pass
    told = f"{key} was {json.dumps(JOB[key])} and is {json.dumps(value)}; name another folder"
    with (
        pytest.raises(MarqueeError) as raised,
        results.opened(out, JOB | {key: value}, again=False),
    ):
        pass
    assert told in str(raised.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_disk_leaves_the_rows_before(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with results.opened(out, JOB, again=False) as opened:
        opened.add([opened.row(Result("a", 200, JSON, b"1"))])
        with Path("/dev/full").open("ab", buffering=0) as full, monkeypatch.context() as patched:
            patched.setattr(opened, "_rows", full)
            with pytest.raises(OSError, match="No space left") as raised:
                opened.add([opened.row(Result("b", 200, JSON, b"1"))])
        assert raised.value.errno == errno.ENOSPC
        assert [row["input"] for row in results.recovered(opened.table)] == ["a"]


def test_the_feed_gives_each_input_once_and_again_what_is_put_back() -> None:
    names = Names()
    names.add("done")
    listed = [Item(name) for name in ("a", "done", "b", "a", "c", "d")]
    feed = Feed(iter(listed), names, 2)
    first = feed.take()
    assert [item.name for item in first] == ["a", "b"]
    feed.put_back_alone(first)
    assert [(item.name, item.alone) for item in feed.take() + feed.take()] == [
        ("a", True),
        ("b", True),
    ]
    feed.put_back(first)
    assert feed.take() == first
    assert [item.name for item in feed.take()] == ["c", "d"]
    assert feed.take() == []
    names.close()


def test_a_batch_of_bytes_is_no_larger_than_can_be_held() -> None:
    large = b"x" * (40 << 20)
    names = Names()
    feed = Feed((Item(str(number), data=large) for number in range(5)), names, 32)
    assert [len(feed.take()) for _ in range(4)] == [2, 2, 1, 0]
    names.close()
