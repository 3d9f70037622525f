"""What the documentation names is there: commands, files; and the decisions are in order."""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from marquee.cli.main import main
from tests.marquee.test_walls import FLOORS, HEIGHT
from tests.support import ROOT

PAGES = [
    page
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("weights/*.md")]
    if page.name not in ("commands.md", "CHANGELOG.md")
]
# Between a command's name and what is no part of it any more.
COMMAND = re.compile(r"\.venv/bin/marquee ([a-z][^)|;&#]*)")
# In a text, or in a block for a shell.
TARGET = re.compile(r"(?:`|^|&& )make ([a-z][a-z-]*)", re.MULTILINE)
BARE = re.compile(r"(?<![\w./-])marquee [a-z]")
# A file of ours in a text, from the root on; a colon and a line may follow.
FILE = re.compile(
    r"`((?:\.github|bench|config|deploy|docker|docs|examples|handlers|marquee|scripts|tests)/[\w./-]+\w/?)`"
)
# What a reader makes, as the page says.
READERS_OWN = re.compile(r"(?:tests/)?handlers/(?:edges|leaves|NAME)/|examples/run\.ipynb")
DECISIONS = (ROOT / "docs" / "decisions.md").read_text()
DECISION = re.compile(r"\*\*[^*]+\*\*.*\*\d{4}-\d{2}-\d{2}\*", re.DOTALL)


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
        context = click.Context(command)
        known = command.get_command(context, words[0])
        # `marquee archive leaves` builds, without saying so.
        rest, known = (
            (words[1:], known) if known else (words, command.get_command(context, "build"))
        )
        assert known is not None, f"there is no command {words[0]}"
        command, words = known, rest
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


def test_make_has_the_targets_that_pages_name() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    pages = [*PAGES, *ROOT.glob("bench/*.md")]
    named = {target for page in pages for target in TARGET.findall(page.read_text())}
    assert len(named) > 10
    assert named <= {*targets}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_text_names_exist(page: Path) -> None:
    names = set(FILE.findall(page.read_text()))
    gone = [name for name in names if not (ROOT / name).exists() and not READERS_OWN.match(name)]
    assert gone == []


def decisions() -> dict[str, list[str]]:
    """Return the paragraphs of each topic."""
    _, *topics = re.split(r"^## ", DECISIONS, flags=re.MULTILINE)
    parts = (topic.partition("\n\n") for topic in topics)
    return {title: text.strip().split("\n\n") for title, _, text in parts}


def test_every_decision_has_a_sentence_and_a_day() -> None:
    topics = decisions()
    assert list(topics)[-1] == "Dependencies"
    del topics["Dependencies"]  # a table
    unfit = [text for texts in topics.values() for text in texts if not DECISION.fullmatch(text)]
    assert unfit == []


def test_no_decision_runs_into_another() -> None:
    starts = [line for line in DECISIONS.splitlines() if line.startswith("**")]
    texts = [text for texts in decisions().values() for text in texts if text.startswith("**")]
    assert len(starts) == len(texts)
    assert len(set(starts)) == len(starts)


def test_the_contents_of_the_decisions_are_their_headings() -> None:
    listed = re.findall(r"^- \[(.+)\]\(#(.+)\)$", DECISIONS, flags=re.MULTILINE)
    assert [title for title, _ in listed] == list(decisions())
    assert [anchor for _, anchor in listed] == [
        title.lower().replace(" ", "-") for title in decisions()
    ]


def test_the_picture_of_the_floors_is_that_of_the_walls() -> None:
    picture = (ROOT / "docs" / "images" / "floors.svg").read_text()
    drawn = re.findall(r'class="name" x="(\d+)" y="(\d+)"[^>]*>([a-z]+)<', picture)
    heights = {name: int(y) for _, y, name in drawn}
    assert heights.keys() == HEIGHT.keys()
    for lower, upper in itertools.combinations(FLOORS, 2):
        assert min(heights[name] for name in lower) > max(heights[name] for name in upper)


def test_every_dependency_has_its_line() -> None:
    _, _, text = (ROOT / "pyproject.toml").read_text().partition("\ndependencies = [")
    lists, _, _ = text.partition("\n[project.scripts]")
    names = {
        name.lower() for name in re.findall(r'"([A-Za-z][\w.-]+)(?:\[[\w,]+\])?(?:[>=]=|")', lists)
    }
    _, _, table = DECISIONS.partition("## Dependencies")
    named = " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|"))
    known = set(re.findall(r"[\w.*-]+", named.lower()))
    gone = {name for name in names - known if not name.startswith("types-")}
    assert len(names) > 30
    assert gone == set()


def test_every_claim_about_security_has_a_test_that_exists() -> None:
    """docs/security.md: a claim is a line of a list, and its tests stand behind it."""
    page = (ROOT / "docs" / "security.md").read_text()
    claims = re.findall(r"^- (.+?)(?=\n- |\n\n|\Z)", page, flags=re.MULTILINE | re.DOTALL)
    assert len(claims) > 20
    assert [claim for claim in claims if not re.search(r"`test_\w+`", claim)] == []
    named = {*re.findall(r"`(test_\w+)`", page)}
    texts = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    assert named - there == set()
