"""A share is written in one way for all commands: 0.05 is 5 %."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from marquee.cli.front import canary
from marquee.cli.main import main
from marquee.cli.versions import rollback, swap


def of(command: click.Command, option: str) -> click.Parameter:
    return next(one for one in command.params if one.name == option)


@pytest.mark.parametrize("command", [swap, rollback, canary], ids=lambda command: command.name)
@pytest.mark.parametrize(
    ("text", "share"),
    [("5%", 0.05), ("0.05", 0.05), ("0", 0), ("100%", 1), ("1", 1), ("0.5%", 0.005)],
)
def test_a_share_of_errors_is_the_same_for_all(
    command: click.Command, text: str, share: float
) -> None:
    parameter = of(command, "max_errors")
    assert parameter.type.convert(text, parameter, None) == pytest.approx(share)


@pytest.mark.parametrize(
    "words",
    [
        ("swap", "m", "1.0", "--max-errors"),
        ("rollback", "m", "--max-errors"),
        ("canary", "m", "--max-errors"),
        ("canary", "m", "1.0", "--share"),
        ("canary", "m", "--max-slower"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("text", ["nan", "-1%", "-0.1", "inf", "many", "", "5", "500%"])
def test_what_is_no_share_is_refused(words: tuple[str, ...], text: str) -> None:
    if words[-1] == "--max-slower" and text in ("5", "500%"):  # a p95 may be six times as long
        assert of(canary, "max_slower").type.convert(text, None, None) == 5
        return
    said = CliRunner().invoke(main, [*words, text])
    assert said.exit_code == 2
    assert "5% or 0.05" in said.output
