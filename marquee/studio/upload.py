"""The field for a picture: by drop, paste, file or camera, and sent on as it came."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils, utils


@dataclass(frozen=True)
class Upload:
    """A file that somebody gave.

    Attributes:
        path: where it lies here.
        name: how they called it.
    """

    path: Path
    name: str


def photo(**options: Any) -> gr.Image:
    """Add an image field that hands on an :class:`Upload`, or None.

    Gradio's own opens the file, turns it and encodes it again, and fails on what is no picture:
    the model is to get what was given, and to say what is wrong with it.
    """
    field = gr.Image(sources=["upload", "clipboard", "webcam"], type="filepath", **options)
    field.preprocess = _as_it_came  # type: ignore[method-assign] # Gradio writes files for classes
    return field


def _as_it_came(payload: Any) -> Any:
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


def typed(text: str | None) -> Upload | None:
    """Return text that somebody typed as a file; None where there is none."""
    if not text or not text.strip():
        return None
    name = "typed.json" if text.lstrip()[:1] in ("{", "[") else "typed.txt"
    return Upload(Path(kept(text.encode(), name)), name)


def kept(content: bytes, name: str) -> str:
    """Keep a file where the page finds it, until Gradio removes it; return its path."""
    return str(processing_utils.save_bytes_to_cache(content, name, utils.get_upload_folder()))
