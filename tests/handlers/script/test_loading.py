"""What happens while a script loads: its example, its names, its files, and what does not load."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from handlers.runtime.settings import SettingsError
from handlers.runtime.weights import WeightsError
from handlers.runtime.worker import LoadError
from handlers.script.defaults import find_model
from handlers.script.script import ScriptError
from tests.handlers.script import scripts
from tests.handlers.script.harness import (
    CSV,
    JSON,
    Call,
    loaded,
    make_folder,
    ours,
)
from tests.handlers.script.test_handler import COUNTS, npy


def write_example(folder: Path, name: str, content: bytes) -> None:
    make_archive = folder.with_name(folder.name + "-archive")
    make_archive.mkdir()
    (make_archive / name).write_bytes(content)
    (make_archive / "sagemaker").symlink_to(folder)


def test_the_example_is_answered_while_loading(tmp_path: Path) -> None:
    good = make_folder(tmp_path / "good", COUNTS)
    write_example(good, "example.npy", npy(3, 2))
    with loaded(good):
        import inference  # noqa: PLC0415

        assert inference.SIZES == [3]
    bad = make_folder(tmp_path / "bad", COUNTS)
    write_example(bad, "example.json", b"no json")
    with pytest.raises(LoadError, match=r"example.json was answered with .*400"), loaded(bad):
        pass


PARTICULAR = """
def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    if content_type != "application/x-image":
        raise KeyError(f"no reader for {content_type}")
    return bytes(body)

def predict_fn(data, model):
    return len(data)
"""


def test_the_examples_type_can_be_stated(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", PARTICULAR)
    write_example(folder, "example.bin", b"1234")
    with loaded(folder, example_type="application/x-image") as handler:
        assert handler.example_headers == {"Content-Type": "application/x-image"}
    for wrong in ("image", "a/b\r\nX: y", "", 7):
        with (
            pytest.raises(SettingsError, match="example_type is"),
            loaded(folder, example_type=wrong),
        ):
            pass


def test_what_the_script_raised_on_its_example_is_told_where_no_server_logs(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", PARTICULAR)
    write_example(folder, "example.bin", b"1234")
    words = (
        r"example\.bin was answered with 500: "
        r"KeyError: 'no reader for application/octet-stream' \(inference\.py, line 7\)"
    )
    with pytest.raises(LoadError, match=words), loaded(folder):
        pass


def test_other_names_for_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path / "m")
    (folder / "code" / "handler.py").write_text(scripts.TUPLE)
    assert ours(folder, [Call("x")], program="handler.py")[0].body == b"plain words"
    monkeypatch.setenv("SAGEMAKER_PROGRAM", "handler.py")
    assert ours(folder, [Call("x")])[0].body == b"plain words"
    (folder / "beside.py").write_text(scripts.TUPLE)
    (tmp_path / "m-archive" / "sagemaker" / "beside.py").write_text(scripts.TUPLE)
    assert ours(folder, [Call("x")], program="beside")[0].body == b"plain words"


def test_the_default_type_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", CSV)
    folder = make_folder(tmp_path / "m", scripts.MODEL_ONLY)
    assert ours(folder, [Call("[2, 4]", JSON)])[0].essence == (200, CSV, b"1.0\n2.0\n")


@pytest.mark.parametrize(
    ("script", "options", "error", "words"),
    [
        ("import not_there_at_all", {}, ScriptError, "pip install not-there-at-all"),
        ("def model_fn(): pass", {}, ScriptError, "takes 0 arguments, expected 1 .model_dir."),
        ("def predict_fn(a, b, c, d): pass", {}, ScriptError, "takes 4 arguments, expected 2"),
        (scripts.TUPLE + "def input_fn(a, b): pass", {}, ScriptError, "keep the one or the others"),
        (scripts.TUPLE, {"program": "x.py"}, ScriptError, "no script x.py"),
        (scripts.TUPLE, {"program": 3}, SettingsError, "program is 3"),
        (scripts.TUPLE, {"stack": "often"}, SettingsError, "'often'"),
        (scripts.TUPLE, {"depth": 3}, SettingsError, "depth is unknown"),
        ("", {}, WeightsError, "no model_fn.*found none"),
        ("raise OSError('no luck')", {}, OSError, "no luck"),
    ],
)
def test_what_does_not_load(
    tmp_path: Path, script: str, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    folder = make_folder(tmp_path / "m", script)
    with pytest.raises(error, match=words), loaded(folder, **options):
        pass


def test_without_the_toolkit_a_script_that_imports_it_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sagemaker_inference", None)
    folder = make_folder(tmp_path / "m", "from sagemaker_inference import decoder")
    with pytest.raises(ScriptError, match=r"pip install sagemaker-inference==1"), loaded(folder):
        pass
    with loaded(make_folder(tmp_path / "plain", scripts.TUPLE)):
        pass  # a script that does not import it needs none


def test_model_files_that_are_no_torchscript(tmp_path: Path) -> None:
    state = tmp_path / "state.pt"
    torch.save(torch.nn.Linear(2, 2).state_dict(), state)
    for files, words in (
        ({"model__pt": state.read_bytes()}, "model.pt holds no TorchScript"),
        ({"a__pt": b"x", "b__pth": b"x"}, "found a.pt, b.pth"),
    ):
        folder = make_folder(tmp_path / next(iter(files)), None, **files)
        with pytest.raises(WeightsError, match=words), loaded(folder):
            pass


def test_what_a_mac_leaves_beside_a_model_is_no_model(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", None, net__pt=b"x", __DS_Store=b"x")
    (folder / "._net.pt").write_bytes(b"Mac OS X")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._net.pt").write_bytes(b"Mac OS X")
    (folder / "folder.pt").mkdir()
    assert find_model(folder).name == "net.pt"
    (folder / "net.pt").unlink()
    with pytest.raises(WeightsError, match="found none"):
        find_model(folder)
