"""``marquee sagemaker models``: what a multi-model endpoint's folder in S3 holds."""

from __future__ import annotations

from typing import Any

import click

from marquee.cli import sagemaker_options as options
from marquee.cli.sagemaker_account import opened, print_calls
from marquee.cli.sagemaker_variants import pack_model
from marquee.cli.tables import show_table
from marquee.scratch import scratch


@click.group()
def models() -> None:
    """List, put and remove the models of a multi-model endpoint."""


@models.command("list")
@click.argument("folder", metavar="S3-FOLDER")
@options.access
def list_models(folder: str, dry_run: bool, **rest: Any) -> None:
    """List the models below S3-FOLDER by the names that `invoke --target-model` takes."""
    from marquee.sagemaker import models as stored

    with opened(rest, dry_run) as account:
        if account is None:
            print_calls([stored.listing(folder)])
            return
        found = stored.models(account, folder)
    rows = [
        (name, f"{size / 1e6:.1f} MB", f"{since:%Y-%m-%d %H:%M}")
        for name, (size, since) in found.items()
    ]
    show_table(("model", "size", "since"), rows)


@models.command("put")
@click.argument("folder", metavar="S3-FOLDER")
@click.argument("model")
@click.option("--as", "name", metavar="NAME.tar.gz", help="If not the model's name.")
@options.source
@options.access
def put_model(folder: str, model: str, name: str | None, dry_run: bool, **rest: Any) -> None:
    """Pack MODEL into S3-FOLDER, where requests can name it at once."""
    from marquee.sagemaker import models as stored

    source = {option: rest.pop(option) for option in ("versions", "script", "program")}
    name = name or f"{model}.tar.gz"
    stored.address(folder, name)  # refused before the model is packed
    with opened(rest, dry_run) as account, scratch() as temp:
        packed = pack_model(model, temp / "model.tar.gz", **source)
        if account is None:
            print_calls(stored.dry_put(folder, name, packed))
            return
        stored.put(account, folder, name, packed)
    click.echo(f"put {name}")


@models.command("remove")
@click.argument("folder", metavar="S3-FOLDER")
@click.argument("name", metavar="NAME.tar.gz")
@options.access
def remove_model(folder: str, name: str, dry_run: bool, **rest: Any) -> None:
    """Take a model away; an endpoint that has loaded it may answer with it for a while."""
    from marquee.sagemaker import models as stored

    with opened(rest, dry_run) as account:
        if account is None:
            print_calls(stored.dry_removal(folder, name))
            return
        stored.remove(account, folder, name)
    click.echo(f"removed {name}")
