"""The container's entry point: ``serve`` (also without a word), ``train``, or any command."""

from __future__ import annotations

import http.client
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from typing import NoReturn

from marquee.container import variables
from marquee.errors import MarqueeError

USAGE = "expected serve, train, health, or a command such as bash"
PING_SECONDS = 4


def main(words: Sequence[str]) -> int:
    """Do what the container's first argument says; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # A line for each of the adapter's own requests would be most of the log.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    word = words[0] if words else "serve"
    try:
        if word in ("serve", "train", "health"):
            return _own(word)
        _execute(words)
    except MarqueeError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1


def _own(word: str) -> int:
    settings = variables.read(os.environ)
    if word == "health":
        problem = _problem(settings.port)
        sys.stdout.write((problem or "healthy") + "\n")
        return 0 if problem is None else 1
    for warning in variables.warnings(os.environ):
        logging.warning("Warning: %s", warning)
    # Imported here: the health check runs every few seconds, and must be quick.
    if word == "train":
        from marquee.container import train  # noqa: PLC0415

        return train.run(settings)
    from marquee.container import serve  # noqa: PLC0415

    serve.run(settings)
    return 0


def _problem(port: int) -> str | None:
    """Return None if everything answers, else what ``/ping`` says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PING_SECONDS)
    try:
        connection.request("GET", "/ping")
        answer = connection.getresponse()
        text = answer.read(2000).decode(errors="replace")
    except OSError as error:
        return f"nothing answers at port {port}: {error}"
    finally:
        connection.close()
    return None if answer.status == 200 else f"status {answer.status}: {text}"


def _execute(words: Sequence[str]) -> NoReturn:
    if shutil.which(words[0]) is None:
        raise MarqueeError(f"there is no command {words[0]!r} in this container; {USAGE}")
    os.execvp(words[0], [*words])  # noqa: S606 - the caller's own command, as Docker runs it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
