"""What is written into a model-config.yaml, and all that stays."""

import difflib
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from marquee.errors import MarqueeError
from marquee.tuning.configfile import write
from tests.support import ROOT

TEXT = """\
# Mine.
minWorkers: 1
maxWorkers: 1
batchSize: 8    # as many as wait
maxBatchDelay: 1        # ms

marquee:
  precision: fp32       # exact
  # options: {width: 416}
  versions:
    "1.0":
      weights: [a.pth]
    "2.0": {weights: [b.pth], threads: 2}  # its own
"""


def written(path: Path, changes: Mapping[tuple[str, ...], int | str], version: str = "1.0") -> str:
    write(path, version, changes)
    return path.read_text()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "model-config.yaml"
    made.write_text(TEXT)
    return made


def changed_lines(text: str) -> list[str]:
    lines = difflib.ndiff(TEXT.splitlines(), text.splitlines())
    return [line for line in lines if line[0] in "+-"]


def test_a_number_changes_and_its_comment_keeps_its_place(path: Path) -> None:
    assert changed_lines(written(path, {("batchSize",): 16})) == [
        "- batchSize: 8    # as many as wait",
        "+ batchSize: 16   # as many as wait",
    ]


def test_a_shorter_value_too(path: Path) -> None:
    text = written(path, {("marquee", "precision"): "x"})
    assert "  precision: x          # exact\n" in text


def test_where_there_is_no_room_one_blank_stays(path: Path) -> None:
    assert "batchSize: 1234567 # as many as wait" in written(path, {("batchSize",): 1234567})


def test_a_key_that_is_not_there_is_added_to_its_section(path: Path) -> None:
    text = written(path, {("marquee", "threads"): 1})
    assert changed_lines(text) == ["+   threads: 1"]
    assert yaml.safe_load(text)["marquee"]["threads"] == 1


def test_a_key_of_the_top_is_added_below_the_first_comment(path: Path) -> None:
    path.write_text(TEXT.replace("maxBatchDelay: 1        # ms\n", ""))
    assert written(path, {("maxBatchDelay",): 5}).startswith("# Mine.\nmaxBatchDelay: 5\nminW")


def test_what_a_version_has_for_itself_is_set_there(path: Path) -> None:
    placed = write(path, "2.0", {("marquee", "threads"): 4})
    assert placed == {("marquee", "versions", "2.0", "threads"): 4}
    assert changed_lines(path.read_text()) == [
        '-     "2.0": {weights: [b.pth], threads: 2}  # its own',
        '+     "2.0": {weights: [b.pth], threads: 4}  # its own',
    ]


@pytest.mark.parametrize("room", sorted((ROOT / "handlers").glob("*/model-config.yaml")), ids=str)
def test_every_room_can_be_written(room: Path, tmp_path: Path) -> None:
    path = tmp_path / room.name
    path.write_text(room.read_text())
    before = yaml.safe_load(room.read_text())
    version = next(iter(before["marquee"]["versions"]))
    wanted: dict[tuple[str, ...], int | str] = {("minWorkers",): 3, ("batchSize",): 64}
    wanted |= {("maxBatchDelay",): 50, ("marquee", "threads"): 7}
    write(path, version, wanted)
    after = yaml.safe_load(path.read_text())
    assert (after["minWorkers"], after["batchSize"], after["maxBatchDelay"]) == (3, 64, 50)
    assert after["marquee"].pop("threads") == 7
    before["marquee"].pop("threads", None)
    assert after["marquee"] == before["marquee"]
    comments = [line.partition("#")[2] for line in room.read_text().splitlines()]
    assert comments == [
        line.partition("#")[2]
        for line in path.read_text().splitlines()
        if "threads: 7" not in line or "#" in line
    ]


def test_an_anchor_that_others_use_is_not_changed(path: Path) -> None:
    text = TEXT.replace("minWorkers: 1", "minWorkers: &n 1").replace(
        "maxWorkers: 1", "maxWorkers: *n"
    )
    path.write_text(text)
    with pytest.raises(MarqueeError, match="set yourself: minWorkers: 2$"):
        write(path, "1.0", {("minWorkers",): 2})
    assert path.read_text() == text
