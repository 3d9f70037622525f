"""What a release says of itself: one version in all places, and its section of the changelog.

``python -m scripts.release check [TAG]`` compares, ``python -m scripts.release notes`` prints.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
VERSION = re.compile(r'^version = "(.*)"', re.MULTILINE)
RELEASE = re.compile(r"\d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Section:
    """A ``##`` section of the changelog."""

    heading: str
    text: str


@dataclass(frozen=True)
class Changelog:
    """What is not released yet, and the newest release."""

    unreleased: Section
    newest: Section

    @classmethod
    def parse(cls, text: str) -> Changelog:
        """Read the changelog's first two sections."""
        _, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
        sections = [
            Section(head, body.strip()) for head, _, body in (p.partition("\n") for p in parts)
        ]
        if len(sections) < 2 or sections[0].heading != "Unreleased":
            raise click.ClickException(
                'CHANGELOG.md begins with "## Unreleased", then has releases'
            )
        if not RELEASE.fullmatch(sections[1].heading):
            raise click.ClickException(
                f'CHANGELOG.md has the heading "{sections[1].heading}": '
                'a release\'s is of the form "1.2.3 - 2026-01-31"'
            )
        return cls(sections[0], sections[1])

    @property
    def version(self) -> str:
        """Return the newest release's version."""
        return self.newest.heading.partition(" ")[0]


def disagreements(
    declared: str, installed: str, changelog: Changelog, tag: str | None
) -> list[str]:
    """Return a sentence for each place that names another version than pyproject.toml does."""
    wrong = []
    if installed != declared:
        wrong.append(
            f"`marquee --version` says {installed}: run make env, which installs this version"
        )
    if changelog.version != declared:
        wrong.append(
            f"CHANGELOG.md's newest release is {changelog.version}: give this one its heading"
        )
    if tag is not None and tag != f"v{declared}":
        wrong.append(f"the tag is {tag}: it should be v{declared}")
    if tag is not None and changelog.unreleased.text:
        wrong.append("CHANGELOG.md has lines under Unreleased: a release takes them all")
    return wrong


def installed_version() -> str:
    """Return what ``marquee --version`` prints last."""
    command = [sys.executable, "-m", "marquee.cli", "--version"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return printed.split()[-1]


def changelog() -> Changelog:
    """Return this checkout's changelog."""
    return Changelog.parse((ROOT / "CHANGELOG.md").read_text())


@click.group()
def main() -> None:
    """Compare a release's places, and print its notes."""


@main.command()
@click.argument("tag", required=False)
def check(tag: str | None) -> None:
    """Compare pyproject.toml, the installed command, the changelog and, where given, the TAG."""
    declared = VERSION.findall((ROOT / "pyproject.toml").read_text())[0]
    wrong = disagreements(declared, installed_version(), changelog(), tag)
    if wrong:
        raise click.ClickException(
            "\n".join([f"pyproject.toml has version {declared}, but", *wrong])
        )
    click.echo(f"version {declared} everywhere")


@main.command()
def notes() -> None:
    """Print the newest release's section of the changelog."""
    click.echo(changelog().newest.text)


if __name__ == "__main__":
    main()
