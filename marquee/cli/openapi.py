"""``marquee openapi``: what the server takes and gives, for generators, gateways and pages."""

from __future__ import annotations

import json
from pathlib import Path

import click

from marquee.project import Project


@click.command()
@click.argument("model", required=False)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Save it there."
)
@click.option("--front", is_flag=True, help="Of the store's archives: as behind a front door.")
def openapi(model: str | None, output: Path | None, front: bool) -> None:
    """Print the OpenAPI 3.1 document of the server, or of MODEL alone.

    It is made from what the models declare: paths, bodies, parameters, answers, errors. The running
    server is asked; where none runs, each archive of the model store is loaded once instead.
    """
    from marquee.files import replacing
    from marquee.openapi.document import document
    from marquee.openapi.served import served

    text = json.dumps(document(served(Project.find(), model, front=front)), indent=2)
    if output is None:
        click.echo(text)
        return
    with replacing(output) as part:
        part.write_text(f"{text}\n")
