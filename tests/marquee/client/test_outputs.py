from pathlib import Path

import pytest

from marquee.client.outputs import OutputFiles
from marquee.errors import MarqueeError

PNG = "image/png"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def saved(outputs: OutputFiles, name: str = "in/a.b.jpg", content_type: str = PNG) -> str:
    return str(outputs.save(Path(name), content_type, [b"one", b"two"]))


def test_a_picture_gets_a_name_of_its_own_in_the_current_folder() -> None:
    outputs = OutputFiles(None, "inkwash", 1)
    assert saved(outputs) == "a.b-inkwash.png"
    assert Path("a.b-inkwash.png").read_bytes() == b"onetwo"


def test_nothing_that_exists_is_overwritten() -> None:
    Path("a.b-inkwash.png").write_bytes(b"mine")
    outputs = OutputFiles(None, "inkwash", 2)
    assert [saved(outputs), saved(outputs)] == ["a.b-inkwash-2.png", "a.b-inkwash-3.png"]
    assert Path("a.b-inkwash.png").read_bytes() == b"mine"


def test_a_named_file_is_overwritten() -> None:
    Path("out.png").write_bytes(b"old")
    assert saved(OutputFiles("out.png", "inkwash", 1)) == "out.png"
    assert Path("out.png").read_bytes() == b"onetwo"


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("new/", "new/a.b-cifar.png"),
        ("{stem}.out.png", "a.b.out.png"),
        ("x-{stem}-{model}", "x-a.b-cifar.png"),
    ],
)
def test_folders_and_templates(output: str, name: str) -> None:
    assert saved(OutputFiles(output, "cifar", 5)) == name


def test_inputs_of_one_name_do_not_overwrite_each_other() -> None:
    outputs = OutputFiles("{stem}.png", "cifar", 2)
    assert [saved(outputs, "x/a.jpg"), saved(outputs, "y/a.jpg")] == ["a.png", "a-2.png"]


def test_an_answer_that_breaks_off_leaves_nothing() -> None:
    def broken() -> object:
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        OutputFiles("out.png", "cifar", 1).save(Path("a.jpg"), PNG, broken())  # type: ignore[arg-type]
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("output", "count", "words"),
    [
        ("out.png", 2, r"one file for the answers to 2 files; name a folder \(-o out.png/\)"),
        ("none/out.png", 1, "there is no folder none"),
        ("none/{stem}.png", 2, "there is no folder none"),
    ],
)
def test_outputs_that_cannot_be(output: str, count: int, words: str) -> None:
    with pytest.raises(MarqueeError, match=words):
        OutputFiles(output, "cifar", count)


def test_a_folder_that_cannot_be_made() -> None:
    Path("file").touch()
    with pytest.raises(MarqueeError, match="cannot create the folder"):
        OutputFiles("file/", "cifar", 1)


def test_the_input_is_never_the_output() -> None:
    with pytest.raises(MarqueeError, match="is the input itself"):
        saved(OutputFiles("a.png", "cifar", 1), "a.png")


def test_text_is_shown_and_the_rest_is_saved() -> None:
    shown = ("application/json", "application/json; charset=utf-8", "text/csv")
    assert not any(OutputFiles(None, "cifar", 1).wants(one) for one in shown)
    assert OutputFiles(None, "cifar", 1).wants("application/x-npy")
    assert OutputFiles("x.json", "cifar", 1).wants("application/json")
