"""``marquee ray pack`` and ``marquee ray manifest``: a model where marquee is not installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from marquee.cli.params import Number, group

_model = group(
    click.argument("model"),
    click.option("--version", help="Which; by default the model's default."),
    click.option(
        "--gpus",
        type=Number(min=0, max=8),
        metavar="NUMBER",
        help="A replica's share, if not what model-config.yaml says.",
    ),
)


@click.command()
@_model
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("model.tar.gz"),
    show_default=True,
)
def pack(model: str, version: str | None, gpus: float | None, output: Path) -> None:
    """Write the model.tar.gz that AWS's container of Ray Serve takes.

    MODEL is one of the project, or an archive: its path, or its name in the model store. Ray is
    not needed for it.
    """
    from marquee.project import Project
    from marquee.ray import pack as packing

    packed = packing.pack(Project.find(), model, version, output, gpus)
    click.echo(f"packed  sha256:{packed.sha256}  {packed.path}")


@click.command()
@_model
@click.option("--image", required=True, help="With Ray, torch and what `marquee ray pack` wrote.")
@click.option("--cpus", type=click.IntRange(min=1), default=2, show_default=True, help="Of a pod.")
@click.option("--memory", default="4Gi", show_default=True, help="Of a pod.")
def manifest(model: str, version: str | None, gpus: float | None, **pods: Any) -> None:
    """Print the RayService that runs MODEL by KubeRay, for `kubectl apply -f -`."""
    from marquee.project import Project
    from marquee.ray import manifest as kuberay
    from marquee.ray.pack import described

    spec = described(Project.find(), model, version, gpus)
    click.echo(kuberay.text(kuberay.ray_service(spec, kuberay.Pods(**pods))), nl=False)
