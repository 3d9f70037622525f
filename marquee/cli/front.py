"""``marquee canary`` and ``front``: what needs the front door of ``marquee serve --front``."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import click

import marquee
from marquee.cli.params import AS_JSON, group, percent, share
from marquee.cli.versions import policy, progress, slowdown, timeouts, watch
from marquee.errors import MarqueeError
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.front.traffic import Summary
    from marquee.versions.canary import CanaryFigures

LIMITS = ("max_errors", "max_slower", "min_requests")
_limit = partial(click.option, show_default=True)
limits = group(
    _limit(
        "--max-errors",
        type=percent,
        default="5%",
        help="Withdrawn by itself when its error rate is higher than the default's by more.",
    ),
    _limit(
        "--max-slower",
        type=share,
        metavar="PERCENT",
        default="50%",
        help="Withdrawn by itself when its p95 is longer than the default's by more.",
    ),
    _limit(
        "--min-requests",
        type=click.IntRange(1),
        default=20,
        help="So many requests must it have had before its error rate counts, five times as many "
        "for its p95.",
    ),
)


@click.command()
@click.argument("model")
@click.argument("version", required=False)
@click.option("--share", type=percent, help="Of the requests that name no version, such as 5%.")
@click.option("--promote", is_flag=True, help="Make the canary the default version.")
@click.option("--withdraw", is_flag=True, help="Send all requests to the default version again.")
@limits
@slowdown
@watch
@timeouts
@AS_JSON
def canary(
    model: str,
    version: str | None,
    *,
    share: float | None,
    promote: bool,
    withdraw: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Try another VERSION of MODEL on a share of its requests.

    With a version and --share: begin, once it answers its golden requests, or change the share.
    With --promote or --withdraw: end; a promotion goes as carefully as 'marquee swap'.
    With neither: show how both versions do. Needs a server started with `marquee serve --front` or
    `marquee ray serve`, which withdraws a canary by itself when it does worse than the default.
    """
    from marquee.versions.canary import figures

    project = Project.find()
    beginning = version is not None or share is not None
    if beginning + promote + withdraw > 1 or (beginning and (version is None or share is None)):
        raise click.UsageError("say VERSION and --share, or --promote, or --withdraw, or nothing")
    if version is not None and share is not None:
        _begin(project, model, version, share, options)
    elif promote:
        # By how much it may fail was said when it began.
        own = {name: value for name, value in options.items() if name not in LIMITS}
        promoted = marquee.promote(project, model, policy(own), progress())
        click.echo(f"{model} {promoted.version} is the default version now, and gets all requests")
    elif withdraw:
        withdrawn = marquee.withdraw(project, model)
        click.echo(f"{model} {withdrawn.version} gets no requests any more; it stays registered")
    else:
        _show(figures(project, model), as_json)


def _begin(
    project: Project, model: str, version: str, share: float, options: dict[str, Any]
) -> None:
    from marquee.versions.judgement import CanaryLimits

    own = CanaryLimits(**{name: options.pop(name) for name in LIMITS})
    begun = marquee.canary(
        project, model, version, share, own, policy=policy(options), listener=progress()
    )
    click.echo(f"{model} {begun.version} gets {begun.share:.2%} of the requests to {model}")


def _show(figures: CanaryFigures, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(figures), indent=1))
        return
    canary = figures.canary
    click.echo(f"{canary.model}: {canary.share:.2%} of the requests go to {canary.version}")
    row = "{:<10} {:>9} {:>9} {:>8} {:>8} {:>8}"
    click.echo(row.format("VERSION", "REQUESTS", "ERRORS", "RATE", "P50", "P95"))
    for version, side in (
        (figures.default_version, figures.default),
        (canary.version, figures.of_canary),
    ):
        click.echo(row.format(version, side.requests, side.errors, *_figures(side)))


def _figures(side: Summary) -> tuple[str, str, str]:
    p50, p95 = ("-" if v is None else f"{v:.0f} ms" for v in (side.p50, side.p95))
    return f"{side.error_rate:.1%}", p50, p95


@click.group()
def front() -> None:
    """The front door of `marquee serve --front`."""


@front.command()
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
