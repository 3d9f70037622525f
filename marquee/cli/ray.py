"""``marquee ray``: archives on a Ray cluster."""

from __future__ import annotations

import click

from marquee.cli.ray_pack import manifest, pack


@click.group()
def ray() -> None:
    """Serve models by Ray Serve, on one machine or a cluster."""


ray.add_command(pack)
ray.add_command(manifest)
