"""The tab "Operate"."""

from __future__ import annotations

import gradio as gr

from marquee.studio.connection import Connection


def tab(connection: Connection) -> None:
    """Add the tab's components to the Blocks that is open."""
    gr.Markdown(f"Nothing here yet, for {connection.shown_address}.")
