"""The ``marquee`` command."""

from __future__ import annotations

from typing import Any

import click

from marquee.cli import (
    archives,
    batch,
    checks,
    cloud,
    front,
    new,
    openapi,
    operating,
    ray,
    requests,
    sagemaker,
    servers,
    studio,
    tuning,
    versions,
)
from marquee.cli.errors import reported

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# In the order in which a person needs them.
SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "Build": (new.new, archives.archive, checks.check, tuning.tune),
    "Serve": (servers.serve, servers.stop, servers.token, servers.env),
    "Ask": (requests.predict, requests.explain, batch.batch, studio.studio, openapi.openapi),
    "Operate": (operating.models, operating.status, operating.logs),
    "Change": (
        versions.swap,
        versions.rollback,
        front.canary,
        versions.register,
        versions.retire,
        versions.scale,
        versions.history,
        front.front,
    ),
    "Cloud": (sagemaker.sagemaker, ray.ray, cloud.cloud),
}


class Sections(click.Group):
    """A group that lists its commands by purpose, and tells what went wrong in one of them."""

    def invoke(self, context: click.Context) -> Any:
        """Run a command."""
        with reported():
            return super().invoke(context)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section of the help for each section of commands."""
        width = max(len(name) for name in self.list_commands(context))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                rows = [(f"{c.name:{width}}", c.get_short_help_str(limit=78)) for c in commands]
                formatter.write_dl(rows)


@click.group(cls=Sections, context_settings=SETTINGS)
@click.version_option(package_name="marquee")
def main() -> None:
    """Package PyTorch vision models as TorchServe archives and serve them."""


for _commands in SECTIONS.values():
    for _command in _commands:
        main.add_command(_command)
