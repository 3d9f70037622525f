"""One client, one request after the other: for bodies that are too large for wrk's Lua."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from bench.contenders.start import Asked
from bench.openloop import is_right
from bench.outcome import Outcome, of_seconds

HANGS_SECONDS = 60
AT_LEAST = 3


def lone_client(
    url: str, asked: Asked, expected: Mapping[str, float], *, seconds: float, tolerance: float
) -> Outcome:
    """Ask for ``seconds``, thrice at least."""
    address = urlsplit(url)
    connection = HTTPConnection(address.netloc, timeout=HANGS_SECONDS)
    took: list[float] = []
    wrong = failed = 0
    start = time.perf_counter()
    while len(took) < AT_LEAST or time.perf_counter() < start + seconds:
        sent = time.perf_counter()
        try:
            connection.request("POST", address.path, asked.body, dict(asked.headers))
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException):
            connection.close()
            failed += 1
        else:
            right = is_right(body, expected, tolerance)
            failed += answer.status != 200
            wrong += answer.status == 200 and not right
        took.append(time.perf_counter() - sent)
    total = time.perf_counter() - start
    connection.close()
    return of_seconds(took, total, wrong, failed)
