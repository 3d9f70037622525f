"""From the user's four files to an archive's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from handlers.rotifer.labels import LabelsError
from handlers.rotifer.pack import PackError, inputs, pack
from handlers.rotifer.weights import WeightReader
from handlers.runtime.weights import WeightsError
from tests.handlers.rotifer.support import GOLDEN


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A user's folder; the files have different names."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for kind, name in (("cfg", "tiny5.cfg"), ("weights", "tiny5_best.weights")):
        shutil.copyfile(GOLDEN / f"tiny5.{kind}", folder / name)
    shutil.copyfile(GOLDEN / "rotifer.names", folder / "obj.names")
    (folder / "obj.data").write_text("classes= 5\nNames = data/obj.names \nbackup = backup/\n")
    return folder / "tiny5_best.weights"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_the_four_files_are_found(mine: Path) -> None:
    names = ["tiny5_best.weights", "tiny5.cfg", "obj.data", "obj.names"]
    assert inputs(mine) == [mine.parent / name for name in names]


def test_the_same_name_beats_another(mine: Path) -> None:
    (mine.parent / "other.cfg").write_text("")
    with pytest.raises(PackError, match=r"tiny5_best\.cfg.*found other\.cfg, tiny5\.cfg"):
        inputs(mine)
    shutil.copyfile(GOLDEN / "tiny5.cfg", mine.with_suffix(".cfg"))
    assert inputs(mine)[1] == mine.with_suffix(".cfg")


def test_the_names_file_is_found_by_the_path_in_data(mine: Path) -> None:
    (mine.parent / "data").mkdir()
    (mine.parent / "obj.names").rename(mine.parent / "data" / "obj.names")
    assert inputs(mine)[3] == mine.parent / "data" / "obj.names"
    (mine.parent / "data" / "obj.names").unlink()
    with pytest.raises(PackError, match=r"obj\.data: its names file obj\.names is not in"):
        inputs(mine)


@pytest.mark.parametrize(
    "said",
    [
        r"data\obj.names",
        r"C:\yolo\data\obj.names",
        r"..\obj.names",
        '"data/obj.names"',
        "OBJ.NAMES",
    ],
)
def test_windows_ways_to_say_where_the_names_are(mine: Path, said: str) -> None:
    (mine.parent / "obj.data").write_text(f"classes = 5\r\nnames = {said}\r\n")
    assert inputs(mine)[3].name == "obj.names"
    (mine.parent / "obj.names").rename(mine.parent / "other.names")
    with pytest.raises(PackError, match=r"(?i)its names file obj\.names is not in"):
        inputs(mine)


def test_a_path_of_windows_leads_into_a_folder_beside_it(mine: Path) -> None:
    (mine.parent / "obj.data").write_text("classes = 5\nnames = data\\obj.names\n")
    (mine.parent / "data").mkdir()
    (mine.parent / "obj.names").rename(mine.parent / "data" / "obj.names")
    assert inputs(mine)[3] == mine.parent / "data" / "obj.names"


def test_a_macs_twins_are_passed_over(mine: Path) -> None:
    for name in ("tiny5.cfg", "obj.data", "obj.names"):
        (mine.parent / f"._{name}").write_bytes(b"\x00\x05\x16\x07")
    assert inputs(mine)[1].name == "tiny5.cfg"
    assert inputs(mine)[2].name == "obj.data"


def test_a_data_file_without_names_takes_the_only_one_there(mine: Path) -> None:
    (mine.parent / "obj.data").write_text("classes=5\n# names = x.names\n")
    assert inputs(mine)[3] == mine.parent / "obj.names"


@pytest.mark.parametrize("name", ["tiny5.cfg", "obj.data"])
def test_a_missing_companion_is_named(mine: Path, name: str) -> None:
    (mine.parent / name).unlink()
    with pytest.raises(PackError, match=f"{name.rpartition('.')[2]} file, found none"):
        inputs(mine)


def test_packing_copies_all_four(mine: Path, out: Path) -> None:
    assert pack(mine, out) == out / "rotifer.weights"
    found = {path.suffix: path.read_bytes() for path in out.iterdir()}
    wanted = {path.suffix: path.read_bytes() for path in inputs(mine)}
    assert found == wanted
    assert WeightReader(out / "rotifer.weights").seen == 1234567


def test_files_that_do_not_fit_are_not_packed(mine: Path, out: Path) -> None:
    (mine.parent / "obj.names").write_text("a\nb\n")
    with pytest.raises(LabelsError, match=r"obj\.names: names 2 classes, expected 5"):
        pack(mine, out)
    (mine.parent / "obj.data").write_text("classes=6\nnames=obj.names\n")
    with pytest.raises(LabelsError, match=r"obj\.data: classes is 6, .* heads for 5"):
        pack(mine, out)
    shutil.copyfile(GOLDEN / "res5.cfg", mine.parent / "tiny5.cfg")
    with pytest.raises(WeightsError, match=r"tiny5_best\.weights: .* another \.cfg"):
        pack(mine, out)
    assert not list(out.iterdir())


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"classes=five\n"])
def test_an_unreadable_data_file(mine: Path, out: Path, content: bytes) -> None:
    (mine.parent / "obj.data").write_bytes(content)
    with pytest.raises(LabelsError, match=r"obj\.data"):
        pack(mine, out)
