"""A room for a new model, from a template: handler, network, settings, sample, weights, test."""

from __future__ import annotations

import keyword
import re
import string
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

from marquee import processes
from marquee.archives.manifest import rule_broken
from marquee.errors import MarqueeError
from marquee.project import Project

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
SUFFIX = ".template"
CONFIG = f"model-config.yaml{SUFFIX}"
TEST = f"test.py{SUFFIX}"
TASKS = ("classification", "image-to-image", "detection", "segmentation")
# By task, for the line that `make serve` prints: where an answer that is no text goes.
CURL = {"image-to-image": "-o, $name.png"}
# In a process of its own: torch is slow to import, and the file is the user's from now on.
SAVE = (
    "import runpy, sys, torch; torch.manual_seed(0); "
    "torch.save(runpy.run_path(sys.argv[1])['Network']().state_dict(), sys.argv[2])"
)


def create(project: Project, name: str, task: str) -> list[Path]:
    """Make the room ``handlers/<name>`` and a test, and return their files.

    It can be built and served as it is. ``task`` is one of ``TASKS``.

    Raises:
        MarqueeError: the name cannot be one, or something has it already.
    """
    room, test = project.handlers / name, project.root / "tests" / "handlers" / name
    _check_name(project, name)
    for taken in (room, test):
        if taken.exists():
            raise MarqueeError(f"{taken} is there already; choose another name, or remove it")
    prefix = "".join(part.capitalize() for part in name.split("_"))
    words = {"name": name, "prefix": prefix}
    words["curl"] = string.Template(CURL.get(task, "")).substitute(words)
    with tempfile.TemporaryDirectory(dir=project.handlers, prefix=f".{name}-") as folder:
        made = Path(folder, name)
        _fill(made, TEMPLATES / task, words)
        made.rename(room)
    test.mkdir(parents=True)
    _write(test / f"test_{name}.py", TEMPLATES / task / TEST, words)
    return sorted(path for folder in (room, test) for path in folder.rglob("*") if path.is_file())


def _check_name(project: Project, name: str) -> None:
    """The name is a Python package's, a folder's, a file's and a part of an address."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise MarqueeError(
            f"'{name}' cannot be a model's name: it becomes the Python package handlers.<name>, so "
            "it has small letters, digits and _, and begins with a letter, such as my_model"
        )
    problem = rule_broken("name", name)
    if problem is not None:
        raise MarqueeError(problem)
    if not project.handlers.is_dir():
        raise MarqueeError(f"there is no folder {project.handlers} to put the room in")


def _fill(room: Path, templates: Path, words: dict[str, str]) -> None:
    room.mkdir()
    (room / "__init__.py").touch()
    _write(room / "model-config.yaml", TEMPLATES / CONFIG, words)
    for template in templates.glob(f"*{SUFFIX}"):
        if template.name != TEST:
            _write(room / template.name.removesuffix(SUFFIX), template, words)
    _sample().save(room / "example.png")
    (room / "demo").mkdir()
    processes.run(
        [sys.executable, "-c", SAVE, room / "model.py", room / "demo" / f"{words['name']}.pth"],
        "the network's first weights could not be saved",
    )


def _write(path: Path, template: Path, words: dict[str, str]) -> None:
    path.write_text(string.Template(template.read_text()).substitute(words))


def _sample() -> Image.Image:
    """Return a picture of 128 x 96 pixels with something in it: a disc and a square on a slope."""
    picture = Image.linear_gradient("L").resize((128, 96)).convert("RGB")
    brush = ImageDraw.Draw(picture)
    brush.ellipse((16, 24, 64, 72), fill=(220, 60, 40))
    brush.rectangle((76, 36, 112, 72), fill=(40, 90, 200))
    return picture
