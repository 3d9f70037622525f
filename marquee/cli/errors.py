"""How the commands tell what went wrong: one sentence, exit code 1."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import click

from marquee.errors import MarqueeError
from marquee.interrupts import Interrupted

# What is wrong with a path that somebody gave, and not with our code.
PATHS = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EISDIR,
)


@contextmanager
def reported() -> Iterator[None]:
    """Turn our errors in the block into one line on stderr and exit code 1."""
    try:
        yield
    except (MarqueeError, Interrupted) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        if error.errno in PATHS and error.filename:
            raise click.ClickException(
                f"{printable(str(error.filename))[:200]} cannot be used: {error.strerror}"
            ) from error
        if error.errno != errno.ENOSPC:
            raise
        where = f" ({error.filename})" if error.filename else ""
        raise click.ClickException(
            f"the disk is full{where}; free some space in the model store and the temporary "
            "folder, and try again"
        ) from error


def printable(text: str) -> str:
    """Return text without what a terminal obeys: an archive may come from anywhere."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)
