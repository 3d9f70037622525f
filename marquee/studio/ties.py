"""What the tabs that watch something share: looks, and events while somebody sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import Context

# What comes there is read out.
READ_OUT = "element.setAttribute('aria-live', 'polite')"
LOOKS: dict[str, Any] = {
    "css_template": (Path(__file__).parent / "watched.css").read_text(),
    "apply_default_css": False,
    "padding": True,
}
# Nobody's program is to call what the page calls, and many may look at once.
QUIETLY: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    "concurrency_limit": None,
}


def seen(elem_id: str) -> str:
    """Return the script that makes an event's first input whether somebody sees an element.

    Neither another tab of the page nor another one of the browser is before it then.
    """
    return f"""(_, ...given) => {{
  const panel = document.getElementById('{elem_id}');
  const shown = panel !== null && panel.offsetParent !== null;
  return [document.visibilityState === 'visible' && shown, ...given];
}}"""


def open_tab() -> gr.Tab:
    """Return the tab that components are added to now."""
    tab = Context.block
    if not isinstance(tab, gr.Tab):
        raise TypeError(f"expected to be built in a Tab, not in {tab}")
    return tab


def ticking(tab: gr.Tab, seconds: float) -> gr.Timer:
    """Return a timer that ticks as long as a tab is the one that is open."""
    timer = gr.Timer(seconds, active=False)
    if not isinstance(tab.parent, gr.Tabs):
        raise TypeError(f"expected the tab to be in Tabs, not in {tab.parent}")

    def opened(event: gr.SelectData) -> gr.Timer:
        return gr.Timer(active=event.value == tab.label)

    tab.parent.select(opened, None, timer, **QUIETLY)
    return timer
