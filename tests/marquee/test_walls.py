"""The rules of the house: who may import whom."""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support import ROOT

HANDLERS = ROOT / "handlers"
OPERATOR = ROOT / "marquee"
# The floors of the operator's side: each package or module may import those before it.
FLOORS = (
    ("errors", "interrupts", "files", "javaproperties", "scratch"),
    ("properties", "media", "processes"),
    ("project",),
    ("state",),
    ("archives",),
    ("torchserve",),
    ("client", "conformance", "front", "sagemaker"),
    ("versions", "tuning", "openapi"),
    ("serving",),
    ("ray", "studio"),
    ("bulk",),
    ("container",),
    ("cli",),
)
HEIGHT = {name: height for height, floor in enumerate(FLOORS) for name in floor}
# What users import: they may know everything, and nothing may know them.
FACES = {"__init__", "testing"}
ARCHIVED = {"torch", "torchvision", "PIL", "numpy", "captum", "handlers", "ts"}
# Run by people, never packed.
TRAINING = {"rich"}
# A dependency of the scripts that the room runs; looked for, never required.
SCRIPTS = {"sagemaker_inference"}
# Where the environment asks for traces; looked for, never required.
TRACING = {"opentelemetry"}
# When archives are made, to read foreign weight files.
PACKING = {"h5py"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            if node.module == "marquee":
                yield from (f"marquee.{alias.name}" for alias in node.names)


def sources() -> list[Path]:
    return sorted(HANDLERS.rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(HANDLERS)))
def test_handlers_import_only_what_an_archive_has(path: Path) -> None:
    is_training = "demo" in path.parts or path.stem.startswith("train")
    allowed = ARCHIVED | set(sys.stdlib_module_names)
    allowed |= TRAINING if is_training else PACKING if path.name == "pack.py" else set()
    allowed |= TRACING if path.name == "tracing.py" else set()
    allowed |= SCRIPTS if "script" in path.parts else set()
    assert {name.partition(".")[0] for name in imports(path)} <= allowed


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(HANDLERS)))
def test_a_room_imports_no_other_room(path: Path) -> None:
    room = path.relative_to(HANDLERS).parts[0]
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("handlers.")}
    assert rooms <= {room, "runtime"}


def modules() -> list[Path]:
    return sorted(OPERATOR.rglob("*.py"))


def package(path: Path) -> str:
    """Return to which package of the operator's side a file belongs, or its name right there."""
    inside = path.relative_to(OPERATOR)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def upward(path: Path, floors: Mapping[str, int] = HEIGHT) -> list[str]:
    """Return what a file imports that is not below it, in functions as well."""
    own = package(path)
    found = {name.split(".")[1] for name in imports(path) if name.startswith("marquee.")}
    return sorted(
        other
        for other in found - {own}
        if other in FACES or floors.get(other, -1) >= floors.get(own, -1)
    )


def test_every_module_has_a_floor() -> None:
    assert {package(path) for path in modules()} == set(HEIGHT) | FACES


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(OPERATOR)))
def test_nothing_imports_upwards(path: Path) -> None:
    assert package(path) in FACES or upward(path) == []


def test_an_import_inside_a_function_counts() -> None:
    """The commands import late on purpose, so this is where a wall would be climbed."""
    late = OPERATOR / "cli" / "servers.py"
    assert "serving" in {name.split(".")[1] for name in imports(late) if "marquee." in name}
    assert upward(late, HEIGHT | {"serving": HEIGHT["cli"] + 1}) == ["serving"]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(OPERATOR)))
def test_only_commands_may_use_the_packages_face(path: Path) -> None:
    """It leads to every floor."""
    assert package(path) in FACES | {"cli"} or "\nimport marquee\n" not in path.read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "marquee").rglob("*.py")), ids=str)
def test_the_package_does_not_know_what_a_clone_has_beside_it(path: Path) -> None:
    local = path == OPERATOR / "cli" / "cloud.py"
    known = {"deploy", "examples", "bench", "scripts", "tests"} - ({"deploy"} if local else set())
    assert not known & {name.partition(".")[0] for name in imports(path)}
