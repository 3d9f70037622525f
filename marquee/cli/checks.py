"""``marquee check``: does a handler do what every handler must?"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

import marquee
from marquee.cli.params import AS_JSON
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.conformance.check import CheckReport

COLOURS = {"ok": "green", "failed": "red", "skipped": "yellow"}


@click.command()
@click.argument("named", metavar="MODEL|ARCHIVE")
@AS_JSON
@click.option("--log", is_flag=True, help="Print what the worker said, too.")
def check(named: str, as_json: bool, log: bool) -> None:
    """Try a handler without a server: forms, errors, batches, explanations, memory.

    Takes a model of the project, all its versions, or an archive by its name or path. The exit
    code is 1 if a check failed.
    """
    reports = marquee.check(Project.find(), named)
    if as_json:
        click.echo(json.dumps([_plain(report) for report in reports], indent=1))
    else:
        for report in reports:
            _show(report, log)
    sys.exit(1 if any(report.failed for report in reports) else 0)


def _plain(report: CheckReport) -> dict[str, object]:
    results = [
        {"check": one.check, "outcome": one.outcome, "why": one.detail, "seconds": one.seconds}
        for one in report.results
    ]
    return {"name": report.name, "ok": not report.failed, "results": results}


def _show(report: CheckReport, log: bool) -> None:
    if log:
        click.echo(report.log, err=True)
    click.echo(report.name)
    for result in report.results:
        outcome = click.style(f"{result.outcome:<7}", fg=COLOURS[result.outcome])
        click.echo(
            f"  {outcome}  {result.check:<23} {result.seconds:6.2f} s  {result.detail}".rstrip()
        )
    click.echo(f"  {len(report.failed)} of {len(report.results)} checks failed")
