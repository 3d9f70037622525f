"""Hands on what a script prints, as lines that TorchServe does not obey; a program of its own.

``relay.py STDOUT STDERR`` reads the two file descriptors until both end, and writes to its own
stdout and stderr. It is no thread of the worker: code that prints without Python, keeps Python
busy or crashes must not wait for it, and what a crash says must still come through.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys

# What ends a line for TorchServe's reader; a last \r may be half of a \r\n.
BREAK = re.compile(rb"\r?\n|\r(?![\n]|\Z)|\xe2\x80[\xa8\xa9]|\xc2\x85")
COMMAND = re.compile(rb"(?:INFO > )?\[(?:METRICS|PID)\]")
MARK = b"| "
PRINTED = b"script printed: "
# Shorter writes to a pipe are never mixed with those of others (POSIX says 512, Linux 4096).
LONGEST = 4000
CHUNK = 1 << 16


class Stream:
    """One of the two, with what has come of a line that is not complete yet."""

    def __init__(self, source: int, sink: int, prefix: bytes) -> None:
        self.source = source
        self._sink = sink
        self._prefix = prefix
        self._rest = b""

    def hand_on(self) -> bool:
        """Copy the lines that have come; tell whether there may be more."""
        chunk = os.read(self.source, CHUNK)
        *lines, self._rest = BREAK.split(self._rest + chunk)
        while len(self._rest) > LONGEST:
            line, self._rest = cut(self._rest)
            lines.append(line)
        if not chunk and self._rest:
            lines.append(self._rest)
        for line in lines:
            write(self._sink, self._prefix, line)
        return bool(chunk)


def cut(line: bytes) -> tuple[bytes, bytes]:
    """Split a long line, in front of a letter and not within one."""
    at = LONGEST
    while at > LONGEST - 3 and line[at] & 0xC0 == 0x80:
        at -= 1
    return line[:at], line[at:]


def write(sink: int, prefix: bytes, line: bytes) -> None:
    """Write one line, in pieces where it is long."""
    while True:
        piece, line = cut(line) if len(line) > LONGEST else (line, b"")
        mark = MARK if not prefix and COMMAND.match(piece) else b""
        try:
            os.write(sink, prefix + mark + piece + b"\n")
        except BrokenPipeError:  # TorchServe is gone, and the worker will be soon
            return
        if not line:
            return


def main() -> None:
    """Relay both streams; Ctrl-C is for the worker, whose end ends this as well."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    printed = Stream(int(sys.argv[1]), 1, PRINTED)
    complained = Stream(int(sys.argv[2]), 2, b"")
    open_ones = [printed, complained]
    while open_ones:
        ready, _, _ = select.select([one.source for one in open_ones], [], [])
        # In this order: what was printed before a complaint arrives before it.
        for one in [one for one in open_ones if one.source in ready]:
            if not one.hand_on():
                open_ones.remove(one)


if __name__ == "__main__":
    main()
