"""Weights are read, never unpickled: every call that could do otherwise says that it does not."""

import ast
import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from picklescan.scanner import scan_bytes, scan_file_path

from tests.support import ROOT

FOLDERS = ("handlers", "marquee", "deploy", "bench", "scripts", "clients", "examples")
# What runs whatever a file holds.
UNPICKLERS = {"pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "dill.load"}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls of a file, by the names that they are written with."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func), node


def problems(path: Path) -> Iterator[str]:
    """Yield what in a file may run what is read."""
    for name, call in calls(path):
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        if name == "torch.load" and given.get("weights_only") != "True":
            yield f"{path}:{call.lineno}: torch.load without weights_only=True"
        if name in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
            yield f"{path}:{call.lineno}: {name} with pickles"
        if name in UNPICKLERS:
            yield f"{path}:{call.lineno}: {name}"


def test_nothing_of_ours_unpickles() -> None:
    sources = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(sources) > 300
    assert [problem for path in sources for problem in problems(path)] == []


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "pickle.loads(text)",
    ],
)
def test_what_would_be_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "read.py").write_text(line)
    assert len([*problems(tmp_path / "read.py")]) == 1


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1 + 1",)


def test_the_weights_in_this_repository_hold_no_code() -> None:
    """picklescan knows which names a pickle may not ask for."""
    files = [
        path
        for pattern in ("*.pth", "*.pt", "*.pkl", "*.bin")
        for path in (ROOT / "handlers").rglob(pattern)
    ]
    assert len(files) > 3
    found = {path.name: scan_file_path(path) for path in files}
    assert {name for name, one in found.items() if one.issues_count or one.scan_err} == set()
    evil = scan_bytes(io.BytesIO(pickle.dumps(_Runs())), "evil.pkl")
    assert evil.issues_count == 1


def test_weights_with_code_in_them_are_refused_where_they_are_read(tmp_path: Path) -> None:
    torch.save({"scale": _Runs()}, tmp_path / "evil.pth")
    assert zipfile.is_zipfile(tmp_path / "evil.pth")
    assert scan_file_path(tmp_path / "evil.pth").issues_count == 1
    with pytest.raises(pickle.UnpicklingError, match="eval"):
        torch.load(tmp_path / "evil.pth", weights_only=True)
