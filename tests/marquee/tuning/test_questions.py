"""What is asked while tuning."""

import zipfile
from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.tuning.questions import MOST, of_archive, of_files

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)


def test_files_and_what_lies_in_folders(tmp_path: Path) -> None:
    (tmp_path / "album" / "inner").mkdir(parents=True)
    for name in ("album/b.jpg", "album/a.png", "album/.hidden", "one"):
        (tmp_path / name).write_bytes(PNG)
    asked = of_files("m", [tmp_path / "one", tmp_path / "album"], {"top_k": "1"}, "json")
    assert [Path(one.name).name for one in asked] == ["one", "a.png", "b.jpg"]
    assert {one.headers["Content-Type"] for one in asked} == {"image/png"}
    assert asked[0].headers["X-Marquee-Top-K"] == "1"
    assert asked[0].headers["Accept"] == "application/json"
    assert asked[0].body == PNG


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="there is no file or folder .*gone"):
        of_files("m", [tmp_path / "gone"], {}, None)
    with pytest.raises(MarqueeError, match="has no files"):
        of_files("m", [tmp_path], {}, None)


def test_more_than_can_be_compared_are_refused(tmp_path: Path) -> None:
    for number in range(MOST + 1):
        (tmp_path / f"{number}.png").write_bytes(PNG)
    with pytest.raises(MarqueeError, match=f"{MOST + 1} files; expected at most {MOST}"):
        of_files("m", [tmp_path], {}, None)


def test_an_archives_example_with_other_wishes(tmp_path: Path) -> None:
    path = tmp_path / "m.mar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("example.png", PNG)
    (asked,) = of_archive(path, {"top_k": "2"}, "npy")
    assert asked.headers == {
        "Content-Type": "image/png",
        "Accept": "application/x-npy",
        "X-Marquee-Top-K": "2",
    }
    assert asked.body == PNG


def test_an_archive_without_an_example_needs_files(tmp_path: Path) -> None:
    path = tmp_path / "m.mar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("handler.py", "")
    with pytest.raises(MarqueeError, match=r"m\.mar holds no example; name files"):
        of_archive(path, {}, None)
