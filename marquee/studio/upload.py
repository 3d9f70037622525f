"""The field for a picture: by drop, paste, file or camera, and sent on as it came."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.image import ImageData


@dataclass(frozen=True)
class Upload:
    """A file that somebody gave.

    Attributes:
        path: where it lies here.
        name: how they called it.
    """

    path: Path
    name: str


class Photo(gr.Image):
    """An image field that hands on the file: nobody opens it, turns it or encodes it again."""

    is_template = True  # the page's part of it is Gradio's own

    def preprocess(self, payload: ImageData | None) -> Any:
        """Return the file as an :class:`Upload`; None where there is none."""
        if payload is None or payload.path is None:
            return None
        path = Path(payload.path)
        return Upload(path, payload.orig_name or path.name)


def of_field(value: Any) -> Upload | None:
    """Return what a field for pictures, or one for any file, holds."""
    if not value:
        return None
    if isinstance(value, Upload):
        return value
    path = Path(value)
    return Upload(path, path.name)
