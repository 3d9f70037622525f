"""The ``marquee`` command."""

from __future__ import annotations

import click

from marquee.commands import archives, cloud, servers


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="marquee")
def main() -> None:
    """Package PyTorch vision models as TorchServe archives and serve them."""


for _command in (
    archives.archive,
    servers.serve,
    servers.stop,
    servers.token,
    servers.env,
    cloud.cloud,
):
    main.add_command(_command)


if __name__ == "__main__":
    main()
