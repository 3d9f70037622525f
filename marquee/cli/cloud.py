"""``marquee cloud``: its commands are deploy/local's, which only a clone of the repository has."""

from __future__ import annotations

import sys

import click

from marquee.errors import MarqueeError


class LocalCloud(click.Group):
    """A group whose commands are imported when one of them is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return self._commands().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        return self._commands().get_command(ctx, cmd_name)

    def _commands(self) -> click.Group:
        from marquee.sagemaker import localcloud

        try:
            clone = localcloud.clone()
        except MarqueeError as error:
            raise click.ClickException(str(error)) from error
        if sys.path[0] != str(clone):  # before the current folder, which may have a deploy/ too
            sys.path.insert(0, str(clone))
        from deploy.local.command import commands

        return commands


cloud = LocalCloud(
    "cloud", help="Run the AWS stack, its functions and SageMaker's runtime on this machine."
)
