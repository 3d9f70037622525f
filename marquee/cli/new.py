"""``marquee new``: a room for a model of one's own."""

from __future__ import annotations

import click

from marquee.project import Project

TASKS = ("classification", "image-to-image", "detection", "segmentation")


@click.command()
@click.argument("name")
@click.option(
    "--task",
    type=click.Choice(TASKS),
    default=TASKS[0],
    show_default=True,
    help="What the model does.",
)
def new(name: str, task: str) -> None:
    """Make a room for a new model, handlers/NAME, from a template.

    It holds a handler, a small network, settings, a sample and untrained weights, and it comes with
    a test: it can be built, served and checked as it is. Put your own network and weights into it.
    """
    from marquee.archives.new_room import create

    project = Project.find()
    for path in create(project, name, task):
        click.echo(path.relative_to(project.root))
    click.echo(
        f"\nNext: marquee archive {name}, marquee check {name}, and make serve. Then put your own "
        f"network into handlers/{name}/model.py and its weights into weights/{name}/."
    )
