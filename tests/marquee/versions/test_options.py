"""A share is written in one way for all commands: 0.05 is 5 %."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from marquee.cli.front import canary
from marquee.cli.main import main
from marquee.cli.params import whole_seconds
from marquee.cli.versions import rollback, swap
from marquee.project import Project
from marquee.versions.canaries import Canary
from marquee.versions.judgement import SwapPolicy
from marquee.versions.probe import Latency


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


@pytest.mark.parametrize("command", ["swap", "rollback", "canary"])
@pytest.mark.parametrize("text", ["nan", "NaN", "0.9", "-inf", "many"])
def test_how_many_times_slower_is_a_number_from_1_on(command: str, text: str) -> None:
    said = CliRunner().invoke(main, [command, "m", "1.0", "--max-slowdown", text])
    assert said.exit_code == 2
    assert "--max-slowdown" in said.output
    assert "is no number; expected" in said.output or text.lower() != "nan"


@pytest.mark.parametrize("command", [swap, rollback, canary], ids=lambda command: command.name)
def test_what_a_refusal_for_slowness_advises_is_an_option(command: click.Command) -> None:
    problem = Latency(old_ms=10, new_ms=1000).problem(max_slowdown=3)
    assert problem is not None
    assert "(--max-slowdown)" in problem
    assert "--max-slowdown" in of(command, "max_slowdown").opts


def test_a_promotion_takes_the_speed_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[SwapPolicy] = []

    def promote(_project: Project, model: str, policy: SwapPolicy, _listener: object) -> Canary:
        taken.append(policy)
        return Canary(model, "2.0", 0.1, 0.0)

    monkeypatch.setattr("marquee.versions.swap.promote", promote)
    monkeypatch.setattr(Project, "find", lambda: Project(tmp_path))
    words = ["canary", "m", "--promote", "--max-slowdown", "7", "--watch", "2s"]
    said = CliRunner().invoke(main, words)
    assert said.exit_code == 0, said.output
    assert (taken[0].max_slowdown, taken[0].watch_seconds) == (7, 2)


@pytest.mark.parametrize("text", ["500ms", "1.5s", "0.1"])
@pytest.mark.parametrize("option", ["--bake", "--termination-wait", "--limit"])
def test_what_is_waited_for_elsewhere_is_whole_seconds(option: str, text: str) -> None:
    said = CliRunner().invoke(main, ["sagemaker", "update", "m", option, text])
    assert said.exit_code == 2
    assert f"'{text}' is not a whole number of seconds; expected one such as 30s" in said.output


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("2000ms", 2), ("0.5m", 30), ("0.7m", 42), (300, 300)]
)
def test_whole_seconds_in_any_unit(text: str | float, seconds: int) -> None:
    assert whole_seconds(text) == seconds
