"""``marquee ray``: archives on a Ray cluster."""

from __future__ import annotations

import click

from marquee.cli.ray_pack import manifest, pack
from marquee.project import Project


@click.group()
def ray() -> None:
    """Serve models by Ray Serve, on one machine or a cluster."""


@ray.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option(
    "--address",
    metavar="CLUSTER",
    help="A cluster that runs: HOST:PORT of its head, or 'auto'. Without it, one of its own.",
)
def serve(models: tuple[str, ...], address: str | None) -> None:
    """Serve models of the model store (all of it) on Ray, and stop them with Ctrl-C.

    Addresses, limits and tokens are those of config.properties, as with TorchServe: docs/ray.md.
    """
    from marquee.ray import environment

    project = Project.find()
    environment.prepare(own=address is None)
    environment.prepare_haproxy(project)
    from marquee.ray.run import run

    run(project, models, address)


ray.add_command(pack)
ray.add_command(manifest)
