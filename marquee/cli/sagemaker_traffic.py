"""``marquee sagemaker traffic``: which variant gets which part of an endpoint's requests."""

from __future__ import annotations

from typing import Any

import click

from marquee.cli import sagemaker_options as options
from marquee.cli.sagemaker_account import opened, print_calls
from marquee.cli.sagemaker_variants import weight_of


@click.command()
@click.argument("endpoint")
@click.argument("weights", metavar="VARIANT=WEIGHT...", nargs=-1, required=True, type=weight_of)
@options.account
def traffic(
    endpoint: str,
    weights: tuple[tuple[str, float], ...],
    dry_run: bool,
    timeout: float,
    **rest: Any,
) -> None:
    """Share an endpoint's requests out anew among its variants, and wait until it is so.

    A variant gets its weight's part of the sum of all weights; those not named keep theirs.
    """
    from marquee.sagemaker import traffic as shares

    with opened(rest, dry_run) as account:
        if account is None:
            print_calls(shares.dry_run(endpoint, dict(weights)))
            return
        now = shares.shift(account, endpoint, dict(weights), timeout=timeout)
    click.echo(", ".join(f"{name} {share:.1%}" for name, share in now.items()))
