"""Web pages of other origins: which of them may ask (CORS, of the Fetch standard)."""

from __future__ import annotations

import re

from marquee.errors import MarqueeError

ANY, NONE = "*", "none"
# As browsers write it: scheme and host, a port that is not the scheme's own, and no path.
ORIGIN = re.compile(
    r"null|[a-z][a-z0-9+.-]*://(?:[a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?"
)


def read(text: str, name: str) -> tuple[str, ...]:
    """Return the origins of a list with commas.

    Args:
        text: such as ``https://a.example, http://localhost:3000``; ``*`` is all, ``none`` none.
        name: of the setting, for the error.

    Raises:
        MarqueeError: one is no origin.
    """
    origins = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if origins == (NONE,):
        return ()
    for one in origins:
        if one != ANY and not ORIGIN.fullmatch(one):
            raise MarqueeError(
                f"{name} has {one!r}, which is no origin; expected scheme and host (and port) "
                "without a path, such as https://pages.example or http://localhost:3000, * for "
                "all, or none"
            )
    return origins
