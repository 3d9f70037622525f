"""The options that model-config.yaml may set for this model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handlers.rotifer.cfg import read_cfg
from handlers.rotifer.model import own_size
from handlers.runtime.settings import SettingsError

OUT_OF_MEMORY_ADVICE = (
    "the network does not fit in the device's memory, even for one picture; lower "
    "marquee.options.width and height in model-config.yaml (the picture's own size does not matter)"
)


def input_size(options: Mapping[str, Any], cfg: Path) -> tuple[int, int]:
    """Return the network's input size: the ``.cfg``'s own where the options say nothing.

    Raises:
        SettingsError: an unknown option, or a size that is no positive integer.
    """
    for name, value in options.items():
        if name not in ("width", "height"):
            raise SettingsError(f"marquee.options.{name} is unknown; known are width, height")
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SettingsError(
                f"marquee.options.{name} is {value!r}, expected a positive number of pixels"
            )
    width, height = own_size(read_cfg(cfg)[0])
    return int(options.get("width", width)), int(options.get("height", height))
