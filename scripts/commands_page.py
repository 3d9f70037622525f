"""The page docs/commands.md: the help of every command, as the commands print it.

``python -m scripts.commands_page`` prints it; ``make docs`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from marquee.cli.main import SECTIONS, main

WIDTH = 96
HEAD = """\
# Commands

What `marquee --help` and `marquee COMMAND --help` print. The command is `.venv/bin/marquee`, which
texts and messages call `marquee` for short; so may you after `. .venv/bin/activate`. This page is
generated: `make docs` writes it again, and a test tells when it is stale.
"""


def page() -> str:
    """Return the page in Markdown."""
    return "\n".join([HEAD, _block(main, None), *_sections()])


def _sections() -> Iterator[str]:
    whole = click.Context(main, info_name="marquee")
    for title, commands in SECTIONS.items():
        yield f"## {title}\n"
        for command in commands:
            yield f"### marquee {command.name}\n"
            yield _block(command, whole)
            if isinstance(command, click.Group):
                yield from _members(command, whole)


def _members(group: click.Group, whole: click.Context) -> Iterator[str]:
    parent = _context(group, whole)
    for name in group.list_commands(parent):
        yield f"#### marquee {group.name} {name}\n"
        if command := group.get_command(parent, name):
            yield _block(command, parent)


def _context(command: click.Command, parent: click.Context | None) -> click.Context:
    return click.Context(
        command,
        parent=parent,
        info_name=command.name if parent else "marquee",
        terminal_width=WIDTH,
        help_option_names=["-h", "--help"],
    )


def _block(command: click.Command, parent: click.Context | None) -> str:
    context = _context(command, parent)
    lines = (line.rstrip() for line in command.get_help(context).splitlines())
    return "```\n" + "\n".join(lines) + "\n```\n"


if __name__ == "__main__":
    click.echo(page(), nl=False)
