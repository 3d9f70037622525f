"""What stands behind a door in place of TorchServe, and takes down every byte of each request.

It reads as the plainest server does, and refuses whatever two servers could read differently.
"""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path

# HAProxy passes a zero byte on, within a value: where the body ends is not in doubt.
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\0\x20-\x7e\x80-\xff\t]*?)[ \t]*")
LINE = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Recorder:
    """The requests that came, and what of them was not plain.

    Attributes:
        lines: the first line of each request.
        bodies: what came behind the head of each.
        unclear: what two servers could read in two ways.
    """

    lines: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)

    def serve(self, stream: BufferedIOBase, out: BufferedIOBase) -> None:
        """Answer the requests of a connection."""
        while head := self._head(stream):
            body = self._body(head, stream)
            if body is None:
                return
            self.lines.append(head[0])
            self.bodies.append(body)
            out.write(ANSWER)
            out.flush()

    def _head(self, stream: BufferedIOBase) -> list[bytes]:
        lines: list[bytes] = []
        while line := stream.readline():
            if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
                self.unclear.append(f"the end of a line: {line!r}")
            if line == b"\r\n":
                return lines
            lines.append(line[:-2])
        return []

    def _body(self, head: list[bytes], stream: BufferedIOBase) -> bytes | None:
        if not LINE.fullmatch(head[0]):
            self.unclear.append(f"the first line: {head[0]!r}")
        fields: dict[bytes, list[bytes]] = {}
        for line in head[1:]:
            found = FIELD.fullmatch(line)
            if found is None:
                self.unclear.append(f"a header: {line!r}")
                continue
            fields.setdefault(found[1].lower(), []).append(found[2])
        lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
        codings = [coding.lower() for coding in codings]
        if len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]):
            self.unclear.append(f"where the body ends: {lengths} {codings}")
        if codings:
            return self._chunks(stream)
        if lengths and not lengths[0].isdigit():
            self.unclear.append(f"the length: {lengths}")
            return None
        body = stream.read(int(lengths[0])) if lengths else b""
        return body if not lengths or len(body) == int(lengths[0]) else None

    def _chunks(self, stream: BufferedIOBase) -> bytes | None:
        body = b""
        while True:
            line = stream.readline()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}\r\n", line):
                if line:
                    self.unclear.append(f"the size of a chunk: {line!r}")
                return None
            size = int(line, 16)
            body += stream.read(size)
            if not size:
                # No part of the head, whatever their names.
                while (trailer := stream.readline()) not in (b"\r\n", b""):
                    if not FIELD.fullmatch(trailer.removesuffix(b"\r\n")):
                        self.unclear.append(f"a trailer: {trailer!r}")
                return body
            if stream.read(2) != b"\r\n":
                return None


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    recorder: Recorder


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.server.recorder.serve(self.rfile, self.wfile)


@contextmanager
def recorded(socket: Path) -> Iterator[Recorder]:
    """Answer behind a door while the block runs, and take down what comes."""
    socket.unlink(missing_ok=True)
    with _Server(str(socket), _Handler) as server:
        server.recorder = Recorder()
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.recorder
        finally:
            server.shutdown()
