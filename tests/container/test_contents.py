"""What a model folder holds."""

from pathlib import Path

import pytest

from marquee.container.contents import Contents, Script, find
from marquee.errors import MarqueeError
from tests.marquee.archives.odd import folder, mar, model, tar


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


def script(folder: Path, *others: str) -> Script:
    return Script(folder, folder / "code", None, frozenset(others))


def paths(found: Contents) -> list[str]:
    return [one.path.name for one in found.archives]


def test_archives(tmp_path: Path) -> None:
    for name in ("b.mar", "a.mar", ".hidden.mar", "._a.mar"):
        mar(tmp_path / name, model(modelName=name.strip("._").partition(".")[0]))
    tar(tmp_path / "c.tar.gz", model(modelName="c"))
    put(tmp_path, "final.pth", "readme.txt", "__MACOSX/._a.mar")
    found = find(tmp_path)
    assert paths(found) == ["a.mar", "b.mar", "c.tar.gz"]
    assert (found.script, found.notes) == (None, ())


def test_an_unpacked_archive_beside_others_and_alone(tmp_path: Path) -> None:
    folder(tmp_path / "one", model(modelName="one"))
    mar(tmp_path / "two.mar", model(modelName="two"))
    assert paths(find(tmp_path)) == ["one", "two.mar"]
    assert paths(find(tmp_path / "one")) == ["one"]


def test_what_is_no_archive_is_passed_over_with_a_sentence(tmp_path: Path) -> None:
    mar(tmp_path / "good.mar", model())
    mar(tmp_path / "climb.mar", model(modelName="../climb"))
    put(tmp_path, "cut.mar")
    (tmp_path / "lost+found").mkdir()
    found = find(tmp_path)
    assert paths(found) == ["good.mar"]
    climb, cut, lost = found.notes
    assert "the name is '../climb'" in climb
    assert "cut.mar is no model archive" in cut
    assert "lost+found has no MAR-INF/MANIFEST.json and is passed over" in lost


@pytest.mark.parametrize("names", [("code/inference.py",), ("inference.py",), ("model.pt",)])
def test_a_script_folder(tmp_path: Path, names: tuple[str, ...]) -> None:
    put(tmp_path, *names, "data/labels.txt")
    (tmp_path / "lost+found").mkdir()
    assert find(tmp_path) == Contents((), script(tmp_path))


def test_both(tmp_path: Path) -> None:
    mar(tmp_path / "a.mar", model())
    put(tmp_path, "code/inference.py", "model.pth")
    found = find(tmp_path)
    assert (paths(found), found.script) == (["a.mar"], script(tmp_path, "a.mar"))


def test_a_script_of_another_name_and_in_another_folder(tmp_path: Path) -> None:
    put(tmp_path, "model/weights.bin", "model/code/serve.py", "src/inference.py")
    folder, elsewhere = tmp_path / "model", tmp_path / "src"
    assert find(folder, "serve.py").script == Script(folder, folder / "code", "serve.py")
    assert find(folder, code_dir=elsewhere).script == Script(folder, elsewhere)
    with pytest.raises(MarqueeError, match="SUBMIT_DIRECTORY is .*there is no such folder"):
        find(folder, code_dir=tmp_path / "absent")


@pytest.mark.parametrize("name", ["code/inference.py", "inference.py", "model.pt"])
def test_a_folder_that_was_packed_where_its_contents_were_meant(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"net/{name}", f"__MACOSX/net/{name}", f".trash/{name}", "lost+found/x")
    found = find(tmp_path)
    assert found.script == script(tmp_path / "net")
    assert found.notes == (
        f"{tmp_path} holds nothing to serve but net/, one level down: it is served",
    )


def test_archives_one_level_down(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    mar(tmp_path / "export" / "a.mar", model())
    assert paths(find(tmp_path)) == ["a.mar"]


def test_two_folders_that_could_be_the_model_are_named(tmp_path: Path) -> None:
    put(tmp_path, "cat/code/inference.py", "dog/code/inference.py")
    with pytest.raises(MarqueeError, match="cat, dog one level down could each be served"):
        find(tmp_path)


def test_a_tar_that_is_not_unpacked_is_named_with_what_is_in_it(tmp_path: Path) -> None:
    more = {"net.mar": b"", "code/inference.py": b""}
    tar(tmp_path / "model.tar.gz", model(), top="x", **more)
    with pytest.raises(
        MarqueeError, match=r"model\.tar\.gz .* holds code/inference\.py: unpack it"
    ):
        find(tmp_path)


def test_nothing_to_serve_says_what_was_expected(tmp_path: Path) -> None:
    put(tmp_path, "weights.bin")
    with pytest.raises(MarqueeError, match=r"nothing that can be served.*code/inference\.py"):
        find(tmp_path)
    with pytest.raises(MarqueeError, match="no model folder"):
        find(tmp_path / "absent")
    with pytest.raises(MarqueeError, match="SAGEMAKER_PROGRAM is 'x.py'"):
        find(tmp_path, "x.py")


def test_code_without_its_script_is_no_model_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, "code/model.pth", "code/other.py")
    with pytest.raises(MarqueeError, match="nothing that can be served"):
        find(tmp_path)
