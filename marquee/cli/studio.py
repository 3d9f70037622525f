"""``marquee studio``: pages in a browser for the models of a server."""

from __future__ import annotations

import importlib.util

import click

from marquee.errors import MarqueeError
from marquee.project import Project

ADVICE = "pip install 'marquee[studio]', or pip install gradio==6.31.0"


@click.command()
@click.option("--url", metavar="SERVER", help="Another server than this project's.")
@click.option(
    "--management-url",
    metavar="SERVER",
    help="With --url: its management address, where a TorchServe tells what it serves.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7860,
    show_default=True,
    help="Where the pages are; 0 for any free one.",
)
@click.option("--share-on-lan", is_flag=True, help="For other machines too, with a password.")
@click.option(
    "--password",
    envvar="MARQUEE_STUDIO_PASSWORD",
    help="That one, with --share-on-lan.  [default: made up and printed]",
)
@click.option("--token", envvar="MARQUEE_TOKEN", hidden=True)
@click.option("--management-token", envvar="MARQUEE_MANAGEMENT_TOKEN", hidden=True)
def studio(
    *,
    url: str | None,
    management_url: str | None,
    port: int,
    share_on_lan: bool,
    password: str | None,
    token: str | None,
    management_token: str | None,
) -> None:
    """Open pages to try the models on, made from what they declare: docs/studio.md.

    They are for this machine alone, unless shared. The tokens of another server come from the
    variables MARQUEE_TOKEN and MARQUEE_MANAGEMENT_TOKEN, and stay out of the pages.
    """
    _check_installed()
    from marquee.studio import run
    from marquee.studio.connection import of_project, of_url

    if password and not share_on_lan:
        raise MarqueeError("a password is for --share-on-lan; without it nobody else gets in")
    if management_url and not url:
        raise MarqueeError("--management-url goes with --url; a project knows its own")
    shared = (password or run.made_up_password()) if share_on_lan else None
    if url is None:
        connection = of_project(Project.find(), trusted=not share_on_lan)
    else:
        connection = of_url(url, token, management_url, management_token)

    def opened(address: str) -> None:
        click.echo(f"Studio: {address}")
        if shared is not None:
            secret = f"password {shared}" if password is None else "the password that you chose"
            click.echo(f"Sign in as {run.USER} with {secret}.")
        click.echo("Ctrl-C stops it.")

    run.run(connection, run.Door(port, shared), opened)


def _check_installed() -> None:
    if importlib.util.find_spec("gradio") is None:
        raise MarqueeError(f"this needs Gradio, which is not installed here; {ADVICE}")
