"""``marquee canary`` and ``front``: what needs the front door of ``marquee serve --front``."""

# ruff: noqa: PLC0415

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from marquee.cli.errors import told
from marquee.errors import MarqueeError
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.front.traffic import Summary
    from marquee.versions.canary import Report


class Percent(click.ParamType):  # type: ignore[type-arg] # no parameter at run time
    """A share such as ``5%``; its value is 0.05."""

    name = "percent"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the text; a value that is a number already is one."""
        if isinstance(value, float):
            return value
        try:
            return float(str(value).removesuffix("%")) / 100
        except ValueError:
            self.fail(f"{value!r} is no percentage, expected one such as 5%", param, ctx)


@click.command()
@click.argument("model")
@click.argument("version", required=False)
@click.option("--share", type=Percent(), help="Of the requests that name no version, such as 5%.")
@click.option("--promote", is_flag=True, help="Make the canary the default version.")
@click.option("--withdraw", is_flag=True, help="Send all requests to the default version again.")
@click.option(
    "--max-errors",
    type=Percent(),
    default="5%",
    show_default=True,
    help="Withdrawn by itself when its error rate is higher than the default's by more.",
)
@click.option(
    "--max-slower",
    type=Percent(),
    default="50%",
    show_default=True,
    help="Withdrawn by itself when its p95 is longer than the default's by more.",
)
@click.option(
    "--min-requests",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="So many requests must it have had before its error rate counts, five times as many "
    "for its p95.",
)
@click.option("--json", "as_json", is_flag=True, help="Show the figures as JSON.")
@told
def canary(
    model: str,
    version: str | None,
    *,
    share: float | None,
    promote: bool,
    withdraw: bool,
    max_errors: float,
    max_slower: float,
    min_requests: int,
    as_json: bool,
) -> None:
    """Try another VERSION of MODEL on a share of its requests.

    With a version and --share: begin, or change the share. With --promote or --withdraw: end.
    With neither: show how both versions do. Needs a server started with `marquee serve --front`,
    which withdraws a canary by itself when it does worse than the default version.
    """
    from marquee.versions import canary as canaries
    from marquee.versions.canaries import Limits

    project = Project.find()
    beginning = version is not None or share is not None
    if beginning + promote + withdraw > 1 or (beginning and (version is None or share is None)):
        raise click.UsageError("say VERSION and --share, or --promote, or --withdraw, or nothing")
    if version is not None and share is not None:
        limits = Limits(max_errors, max_slower, min_requests)
        begun = canaries.begin(project, model, version, share, limits)
        click.echo(f"{model} {begun.version} gets {begun.share:.2%} of the requests to {model}")
    elif promote:
        promoted = canaries.promote(project, model)
        click.echo(f"{model} {promoted.version} is the default version now, and gets all requests")
    elif withdraw:
        withdrawn = canaries.withdraw(project, model)
        click.echo(f"{model} {withdrawn.version} gets no requests any more; it stays registered")
    else:
        _show(canaries.report(project, model), as_json)


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(report), indent=1))
        return
    found = report.canary
    click.echo(f"{found.model}: {found.share:.2%} of the requests go to {found.version}")
    row = "{:<10} {:>9} {:>9} {:>8} {:>8} {:>8}"
    click.echo(row.format("VERSION", "REQUESTS", "ERRORS", "RATE", "P50", "P95"))
    for version, side in (
        (report.default_version, report.default),
        (found.version, report.of_canary),
    ):
        click.echo(row.format(version, side.requests, side.errors, *_figures(side)))


def _figures(side: Summary) -> tuple[str, str, str]:
    p50, p95 = ("-" if v is None else f"{v:.0f} ms" for v in (side.p50, side.p95))
    return f"{side.error_rate:.1%}", p50, p95


@click.group()
def front() -> None:
    """The front door of `marquee serve --front`."""


@front.command()
@told
def reload() -> None:
    """Make the front door read config/front.yaml and its files again, and drop no connection."""
    from marquee.front import launch
    from marquee.front.process import running
    from marquee.front.settings import read

    project = Project.find()
    if running(project) is None:
        raise MarqueeError("no front door of this project runs; start it: marquee serve --front")
    launch.reload(read(project))
    click.echo("reloaded")
