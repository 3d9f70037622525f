"""Who may operate the server: whoever shows its management token, or has the server's own folder.

The token is kept with the session, on the studio's side, and shown to the server anew before
anything is done: one that has run out meanwhile is worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from marquee.errors import MarqueeError
from marquee.studio.connection import Connection
from marquee.torchserve.management import Management

ASK = (
    "show the server's management token first; whoever started the server gets it, in its folder, "
    "from: marquee token management"
)


def is_asked(connection: Connection) -> bool:
    """Whether a token has to be shown."""
    return connection.management is None


@contextmanager
def permitted(connection: Connection, token: str) -> Iterator[Management]:
    """Lend the server's management, to who may have it.

    Args:
        connection: the server.
        token: what the visitor has shown; empty for nothing.

    Raises:
        MarqueeError: the server does not take the token, does not answer, or nobody knows where
            it is managed.
    """
    if connection.management is not None:
        yield connection.management
        return
    if connection.management_address is None:
        raise MarqueeError(
            "the server's management address is not known here; start the studio with "
            "--management-url, or in the server's own folder"
        )
    if not token:
        raise MarqueeError(ASK)
    with connection.managed_with(token.strip()) as api:
        api.models()  # the server says whether it takes the token
        yield api
