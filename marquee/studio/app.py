"""The page: its tabs, its looks, and what it says of the server."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from marquee.studio import jobs, operate, tryout
from marquee.studio.connection import Connection

TITLE = "marquee studio"
HERE = Path(__file__).parent
STYLE = (HERE / "page.css").read_text()
SCRIPT = f"<script>{(HERE / 'page.js').read_text()}</script>"


def build(connection: Connection) -> gr.Blocks:
    """Return the page for a server; it need not run yet."""
    # Uploads and answers are looked for every ten minutes, and removed an hour later.
    page: gr.Blocks
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# {TITLE}")
        with gr.Tabs():
            with gr.Tab("Try", id="try"):
                tryout.tab(connection, page)
            with gr.Tab("Operate", id="operate"):
                operate.tab(connection)
            with gr.Tab("Jobs", id="jobs"):
                jobs.tab(connection)
    page.queue(default_concurrency_limit=8, api_open=False)
    return page


def theme() -> gr.Theme:
    """Return the page's looks: the system's own fonts, none is fetched."""
    sans = ("system-ui", "Segoe UI", "DejaVu Sans", "sans-serif")
    mono = ("ui-monospace", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")
    legible = {
        "body_text_color_subdued": "*neutral_600",
        "body_text_color_subdued_dark": "*neutral_300",
        "block_info_text_color": "*neutral_600",
        "block_info_text_color_dark": "*neutral_300",
        "block_label_text_color": "*neutral_700",
        "block_title_text_color": "*neutral_700",
        "color_accent": "*primary_600",
        "button_primary_background_fill": "*primary_600",
        "button_primary_background_fill_hover": "*primary_700",
    }
    return gr.themes.Default(primary_hue="blue", font=sans, font_mono=mono).set(**legible)


def largest(connection: Connection) -> int | None:
    """Return how many bytes a file may have; None where the server's limit is not known."""
    if connection.project is None:
        return None
    return int(connection.project.properties.get("max_request_size", "6553500"))
