"""What a model folder holds."""

import json
from pathlib import Path

import pytest

from marquee.container.contents import Contents, find
from marquee.errors import MarqueeError


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


def test_archives(tmp_path: Path) -> None:
    put(tmp_path, "b.mar", "a.mar", ".hidden.mar", "final.pth", "readme.txt")
    assert find(tmp_path, None, None) == Contents((tmp_path / "a.mar", tmp_path / "b.mar"), False)


def test_an_unpacked_archive_beside_others_and_alone(tmp_path: Path) -> None:
    put(tmp_path, "one/MAR-INF/MANIFEST.json", "two.mar")
    assert find(tmp_path, None, None).archives == (tmp_path / "one", tmp_path / "two.mar")
    assert find(tmp_path / "one", None, None).archives == (tmp_path / "one",)


@pytest.mark.parametrize("names", [("code/inference.py",), ("inference.py",), ("model.pt",)])
def test_a_script_folder(tmp_path: Path, names: tuple[str, ...]) -> None:
    put(tmp_path, *names)
    assert find(tmp_path, None, None) == Contents((), True)


def test_both(tmp_path: Path) -> None:
    put(tmp_path, "a.mar", "code/inference.py", "model.pth")
    assert find(tmp_path, None, None) == Contents((tmp_path / "a.mar",), True)


def test_a_script_of_another_name_and_in_another_folder(tmp_path: Path) -> None:
    put(tmp_path, "model/weights.bin", "model/code/serve.py", "src/inference.py")
    assert find(tmp_path / "model", "serve.py", None).script
    assert find(tmp_path / "model", None, tmp_path / "src").script


def test_nothing_to_serve_says_what_was_expected(tmp_path: Path) -> None:
    put(tmp_path, "weights.bin")
    with pytest.raises(MarqueeError, match=r"nothing that can be served.*code/inference\.py"):
        find(tmp_path, None, None)
    with pytest.raises(MarqueeError, match="no model folder"):
        find(tmp_path / "absent", None, None)
    with pytest.raises(MarqueeError, match="SAGEMAKER_PROGRAM is 'x.py'"):
        find(tmp_path, "x.py", None)


def test_manifest_of_a_file_that_is_no_archive(tmp_path: Path) -> None:
    from marquee.archives.build import read_manifest  # noqa: PLC0415

    (tmp_path / "a" / "MAR-INF").mkdir(parents=True)
    (tmp_path / "a" / "MAR-INF" / "MANIFEST.json").write_text(json.dumps({"model": {}}))
    assert read_manifest(tmp_path / "a") == {"model": {}}
    with pytest.raises(MarqueeError, match="no model archive"):
        read_manifest(tmp_path)
