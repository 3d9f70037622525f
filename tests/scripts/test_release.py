"""A release's places agree, and it shows when they do not."""

import re

import click
import pytest
from click.testing import CliRunner

from scripts.release import Changelog, disagreements, main
from tests.support import ROOT

TEXT = """# Changelog

## Unreleased

## 0.2.0 - 2026-11-28

Many things.

### Added

- One.

## 0.1.0 - 2026-01-31

- Zero.
"""


def declared() -> str:
    (version,) = re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)
    return str(version)


def test_this_checkout_agrees() -> None:
    done = CliRunner().invoke(main, ["check"])
    assert (done.exit_code, done.output) == (0, f"version {declared()} everywhere\n"), done.output


def test_a_tag_that_names_another_version_is_refused() -> None:
    done = CliRunner().invoke(main, ["check", "v9.9.9"])
    assert done.exit_code == 1
    assert f"the tag is v9.9.9: it should be v{declared()}" in done.output


@pytest.mark.parametrize(
    ("installed", "text", "tag", "words"),
    [
        ("0.1.0", TEXT, None, "says 0.1.0: run make env"),
        ("0.2.0", TEXT.replace("0.2.0", "0.3.0"), None, "newest release is 0.3.0"),
        ("0.2.0", TEXT, "0.2.0", "it should be v0.2.0"),
        ("0.2.0", TEXT.replace("ed\n\n## 0.2", "ed\n\n- Two.\n\n## 0.2"), "v0.2.0", "Unreleased"),
    ],
)
def test_each_place_that_differs_is_named(
    installed: str, text: str, tag: str | None, words: str
) -> None:
    (sentence,) = disagreements("0.2.0", installed, Changelog.parse(text), tag)
    assert words in sentence


@pytest.mark.parametrize("tag", [None, "v0.2.0"])
def test_what_agrees_is_passed(tag: str | None) -> None:
    assert disagreements("0.2.0", "0.2.0", Changelog.parse(TEXT), tag) == []


def test_lines_under_unreleased_wait_for_a_tag() -> None:
    text = TEXT.replace("ed\n\n## 0.2", "ed\n\n- Two.\n\n## 0.2")
    assert disagreements("0.2.0", "0.2.0", Changelog.parse(text), None) == []


@pytest.mark.parametrize(
    "text",
    [
        "# Changelog\n",
        TEXT.replace("## Unreleased\n\n", ""),
        TEXT.replace("0.2.0 - 2026-11-28", "0.2.0 (today)"),
        TEXT.replace("2026-11-28", "28.11.2026"),
    ],
)
def test_a_changelog_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(click.ClickException, match="CHANGELOG"):
        Changelog.parse(text)


def test_notes_are_the_newest_section_alone() -> None:
    assert Changelog.parse(TEXT).newest.text == "Many things.\n\n### Added\n\n- One."
    printed = CliRunner().invoke(main, ["notes"]).output
    assert printed.strip() in (ROOT / "CHANGELOG.md").read_text()
