import errno
import re
import subprocess

import click
import pytest
from click.testing import CliRunner

from marquee.archives import build as archive
from marquee.cli.main import SECTIONS, main
from marquee.project import Project
from scripts.commands_page import entry, page
from tests.support import ROOT, make_project, marquee


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_has_help(command: str) -> None:
    shown = marquee(Project(ROOT), command, "--help")
    assert shown.returncode == 0
    assert "Usage" in shown.stdout


def test_help_lists_each_command_once_and_by_purpose() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", shown, re.MULTILINE)
    assert sorted(listed) == sorted(main.commands)
    assert [shown.index(f"\n{title}:\n") for title in SECTIONS] == sorted(
        shown.index(f"\n{title}:\n") for title in SECTIONS
    )


def test_the_page_of_commands_is_what_they_print() -> None:
    assert page() == (ROOT / "docs" / "commands.md").read_text(), "run: make docs"


def test_the_page_descends_into_groups_of_groups() -> None:
    inner = click.Group("inner", commands=[click.Command("leaf"), click.Command("x", hidden=True)])
    outer = click.Group("outer", commands=[inner, click.Command("branch")])
    lines = "".join(entry(outer, click.Context(main, info_name="marquee"), "###")).splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "### marquee outer",
        "#### marquee outer branch",
        "#### marquee outer inner",
        "##### marquee outer inner leaf",
    ]
    assert "Usage: marquee outer inner leaf [OPTIONS]" in lines


def test_a_token_without_a_server_says_how_to_start_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    project = make_project(tmp_path_factory.mktemp("idle") / "project")
    said = marquee(project, "token")
    assert (said.returncode, said.stdout) == (1, "")
    assert "make serve" in said.stderr
    assert marquee(project, "stop").stdout == "no server of this project is running\n"


@pytest.mark.parametrize("filename", [None, "x.mar"])
def test_a_full_disk_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, filename: str | None
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", filename)

    monkeypatch.setattr(archive, "build", full)
    monkeypatch.chdir(ROOT)
    said = CliRunner().invoke(main, ["archive", "cifar"])
    assert said.exit_code == 1
    assert "the disk is full" in said.output
    assert "None" not in said.output


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = [line.split(": ")[1] for line in makefile.splitlines() if line.startswith(".PHONY")]
    shown = subprocess.run(
        ["make", "-C", ROOT, "help"], capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("  make")] == phony


def test_env_exports_are_shell() -> None:
    shown = marquee(Project(ROOT), "env").stdout
    done = subprocess.run(
        [
            "bash",
            "-ec",
            f"{shown}\ntest -f $TS_CONFIG_FILE\ntest -x $JAVA_HOME/bin/java\ntest -d $TEMP",
        ],
        check=False,
    )
    assert done.returncode == 0
