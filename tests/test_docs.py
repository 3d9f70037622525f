"""Commands in the documentation can be pasted: a new checkout has them there, and they exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from marquee.cli.main import main
from tests.support import ROOT

PAGES = [
    page
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("weights/*.md")]
    if page.name not in ("commands.md", "CHANGELOG.md")
]
# Between a command's name and what is no part of it any more.
COMMAND = re.compile(r"\.venv/bin/marquee ([a-z][^)|;&#]*)")
BARE = re.compile(r"(?<![\w./-])marquee [a-z]")


def shell_lines(page: Path) -> Iterator[str]:
    """Yield the lines of a page's blocks that are for a shell, continued ones joined."""
    fence, text = "", page.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fence = "" if fence else line.strip() + " "
        elif fence and "python" not in fence:
            yield line


def named(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words name, and the rest of them."""
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        assert words[0] in command.commands, f"there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_called_one_way(page: Path) -> None:
    bare = [line for line in shell_lines(page) if BARE.search(line.partition("#")[0])]
    assert bare == [], "in blocks it is .venv/bin/marquee, which works in any shell"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    for line in shell_lines(page):
        for found in COMMAND.finditer(line):
            command, words = named(shlex.split(found[1].rstrip('"')))
            known = {option for one in command.params for option in one.opts} | {"--help"}
            given = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert given <= known, line


def test_pages_have_commands_to_test() -> None:
    lines = [line for page in PAGES for line in shell_lines(page)]
    assert sum(bool(COMMAND.search(line)) for line in lines) > 30
