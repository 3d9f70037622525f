"""Ask the container's own ``/ping``: for HEALTHCHECK, and for people."""

from __future__ import annotations

import http.client

TIMEOUT_SECONDS = 4


def problem(port: int) -> str | None:
    """Return None if everything answers, else what ``/ping`` says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/ping")
        answer = connection.getresponse()
        text = answer.read(2000).decode(errors="replace")
    except OSError as error:
        return f"nothing answers at port {port}: {error}"
    finally:
        connection.close()
    return None if answer.status == 200 else f"status {answer.status}: {text}"
