"""The rules of the house: who may import whom."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

HANDLERS = ROOT / "handlers"
ARCHIVED = {"torch", "torchvision", "PIL", "numpy", "captum", "handlers", "ts"}
# Run by people, never packed.
TRAINING = {"rich"}
# A dependency of the scripts that the room runs; looked for, never required.
SCRIPTS = {"sagemaker_inference"}
# When archives are made, to read foreign weight files.
PACKING = {"h5py"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def sources() -> list[Path]:
    return sorted(HANDLERS.rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(HANDLERS)))
def test_handlers_import_only_what_an_archive_has(path: Path) -> None:
    is_training = "demo" in path.parts or path.stem.startswith("train")
    allowed = ARCHIVED | set(sys.stdlib_module_names)
    allowed |= TRAINING if is_training else PACKING if path.name == "pack.py" else set()
    allowed |= SCRIPTS if "script" in path.parts else set()
    assert {name.partition(".")[0] for name in imports(path)} <= allowed


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(HANDLERS)))
def test_a_room_imports_no_other_room(path: Path) -> None:
    room = path.relative_to(HANDLERS).parts[0]
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("handlers.")}
    assert rooms <= {room, "runtime"}
