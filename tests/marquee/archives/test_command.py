"""``marquee archive`` and its subcommands, as they are typed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from marquee.archives import build, script
from marquee.archives.build import BuiltArchive
from marquee.archives.rooms import ModelVersion
from marquee.archives.script import ScriptSource
from marquee.cli.main import main
from marquee.project import Project

Builds = list[tuple[str, str, bool]]


def archive(project: Project, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.chdir(project.root)
    return CliRunner().invoke(main, ["archive", *words])


@pytest.fixture
def builds(small_project: Project, monkeypatch: pytest.MonkeyPatch) -> Builds:
    """What is asked to be built; nothing is."""
    asked: Builds = []

    def noted(_project: Project, model: ModelVersion, *, force: bool, **_: Any) -> BuiltArchive:
        asked.append((model.name, model.version, force))
        return BuiltArchive(small_project.model_store / model.archive_name, "12", fresh=True)

    monkeypatch.setattr(build, "build", noted)
    return asked


@pytest.mark.parametrize("line", ["", "cifar", "--force", "cifar --force", "--force cifar"])
@pytest.mark.parametrize("named", ["", "build "])
def test_building_needs_no_name(
    small_project: Project, monkeypatch: pytest.MonkeyPatch, builds: Builds, line: str, named: str
) -> None:
    done = archive(small_project, monkeypatch, *f"{named}{line}".split())
    assert (done.exit_code, builds) == (0, [("cifar", "2.0", "--force" in line)]), done.output
    assert done.output.startswith("built       sha256:12  cifar-2.0.mar")


def test_a_script_is_built_with_its_options(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[ScriptSource, bool]] = []

    def noted(_project: Project, source: ScriptSource, *, force: bool) -> BuiltArchive:
        asked.append((source, force))
        return BuiltArchive(small_project.model_store / "cifar-2.0.mar", "12", fresh=False)

    monkeypatch.setattr(script, "build", noted)
    plain = archive(small_project, monkeypatch, "script", "net", "--name", "painter")
    assert plain.output.startswith("up to date  sha256:12"), plain.output
    options = ("--version", "2.1", "--program", "x.py", "--stack", "never", "--batch-size", "3")
    archive(small_project, monkeypatch, "script", "net", "--name", "painter", *options, "--force")
    default = ScriptSource(Path("net"), "painter")
    other = replace(default, version="2.1", program="x.py", stack="never", batch_size=3)
    assert asked == [(default, False), (other, True)]
    nameless = archive(small_project, monkeypatch, "script", "net")
    assert (nameless.exit_code, "Missing option '--name'" in nameless.output) == (2, True)


def test_an_archive_is_looked_into_and_compared(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = archive(small_project, monkeypatch, "inspect", "cifar-2.0", "--json")
    assert json.loads(look.output)["model"] == "cifar"
    same = archive(small_project, monkeypatch, "diff", "cifar-2.0", "cifar-2.0.mar")
    assert same.output.splitlines()[0] == "the same files, byte for byte"


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["--script", "net", "--name", "x"], "--script is a subcommand now: marquee archive scr"),
        (["--force", "--script=net"], "--script is a subcommand now: marquee archive script FOLD"),
        (["--inspect", "a.mar"], "marquee archive inspect ARCHIVE"),
        (["--json", "--diff", "a.mar", "b.mar"], "marquee archive diff A B"),
    ],
)
def test_what_was_an_option_names_its_subcommand(
    small_project: Project, monkeypatch: pytest.MonkeyPatch, words: list[str], command: str
) -> None:
    done = archive(small_project, monkeypatch, *words)
    assert done.exit_code == 2
    assert command in done.output


def test_help_lists_the_subcommands(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = archive(small_project, monkeypatch, "--help").output
    for name in ("build", "inspect", "diff", "script"):
        assert f"\n  {name} " in shown
        assert archive(small_project, monkeypatch, name, "--help").exit_code == 0
    assert "--force" in archive(small_project, monkeypatch, "cifar", "--help").output
