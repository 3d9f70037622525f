"""What counts as an answer to an example."""

from __future__ import annotations

import httpx
import pytest

from marquee.torchserve.management import Version
from marquee.torchserve.readiness import asker
from marquee.torchserve.watch import Example

VERSION = Version("m", "1.0", 1, 1, 1, 1, 120, 0, 100, "m-1.0.mar", ())


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, None),
        (422, None),  # it works, and says no to this very input
        (400, "answered its example with 400: why"),
        (500, "answered its example with 500: why"),
        (503, "answered its example with 503: why"),
    ],
)
def test_an_example_that_is_refused_is_answered_too(status: int, said: str | None) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text="why"))
    with httpx.Client(transport=transport, base_url="http://x") as client:
        assert asker(client, lambda: None)(VERSION, Example(b"", {})) == said
