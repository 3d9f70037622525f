"""What the SageMaker commands share: the account whose steps are shown, and planned calls."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from marquee.sagemaker.account import Account, Call


def print_calls(calls: Iterable[Call]) -> None:
    """Print planned calls as JSON, each checked against AWS's description of it."""
    from marquee.sagemaker.account import as_json

    click.echo(json.dumps(as_json(calls), indent=2))


@contextmanager
def opened(rest: dict[str, Any], dry_run: bool) -> Iterator[Account | None]:
    """Give the account, whose steps are shown on stderr; None where no call is to be made."""
    region, profile = rest.pop("region"), rest.pop("profile")
    if dry_run:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from marquee.sagemaker.account import Account

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("Asking AWS", total=None, step="")

        def report(step: str) -> None:
            if progress.tasks[task].fields["step"] != step:  # the same again is shown once
                console.print(step, markup=False)
                progress.update(task, description=step, step=step)

        def uploaded(count: int) -> None:  # called from boto3's own threads
            progress.advance(task, count)
            sent = progress.tasks[task].completed / 1e6
            progress.update(task, description=f"Uploaded {sent:.1f} MB")

        yield Account(region, profile, report=report, uploaded=uploaded)
