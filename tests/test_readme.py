"""The README's commands do what it shows, in a fresh copy of what is in git."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from marquee.project import Project
from tests.support import BIN, ROOT, Running, clean_environment, serving

README = (ROOT / "README.md").read_text()


def fresh_copy(folder: Path) -> Project:
    """Copy the files git tracks, and lend the copy this environment.

    To make, all files are older than the environment: it must not install the copy into it.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
            os.utime(folder / name, (0, 0))
    (folder / ".venv").symlink_to(BIN.parent)
    return Project(folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    project = fresh_copy(tmp_path_factory.mktemp("readme") / "marquee")
    with serving(project, "make", "serve") as running:
        yield running


def curl_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("curl ")]


def as_in_the_readme(line: str, running: Running) -> str:
    """Undo what a test's server has of its own: the address, and where marquee is."""
    line = line.replace(running.inference, "http://127.0.0.1:8080")
    return re.sub(r"\$\(\S*marquee token\)", "$(.venv/bin/marquee token)", line)


@pytest.mark.server
def test_make_serve_prints_what_the_readme_shows(served: Running) -> None:
    printed = served.output.read_text()
    shown = [as_in_the_readme(line, served) for line in curl_lines(printed)]
    assert shown == curl_lines(README)
    for words in ("Loading models", "Ready: inference", "Ctrl-C stops everything."):
        assert words in printed
        assert words in README


@pytest.mark.server
def test_the_printed_lines_work_when_pasted(served: Running) -> None:
    for line in curl_lines(served.output.read_text()):
        # A fresh shell knows nothing of the server's own variables.
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=served.project.root,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        if "/cifar" in line:
            assert json.loads(done.stdout)["label"] == "ship"
            assert '"label":"ship"' in README
    with Image.open(served.project.root / "painting.jpg") as painting:
        assert painting.format == "JPEG"
        assert min(painting.size) == 256


def test_every_link_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("handlers/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page}: {target}"
