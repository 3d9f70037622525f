"""Ways to break one thing in a file that is right otherwise: a field, a length, a line, a value.

All take what they draw from the ``Random`` that they are given: the same one gives the same file.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

Edit = Callable[[bytes, Random], bytes]

# Where signs, sizes and the bits of counters end.
NUMBERS = (0, 1, 2, 3, 7, 8, 16, 31, 32, 63, 64, 127, 128, 129, 255, 256, 1000, 4096, 32767, 32768)
LARGE = (65535, 65536, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1)
WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}
# Most formats say what they are, and how large, within so many bytes.
HEAD = 512
LONGEST_RUN = 64
WORDS = re.compile(rb"[A-Za-z_]+|[-+]?[0-9][0-9.eE+-]*|[^A-Za-z0-9\s]")
ODD_WORDS = (
    *(b"", b"0", b"-1", b"1e999", b"nan", b"Infinity", b"0x10", b"1_0", b"9" * 400, b"9" * 5000),
    *(b"null", b"true", b"~", b"[]", b"{}", b"''", b'"', b"\0", b"\r\n", b"\xff\xfe", b"\xc3"),
    *("é".encode(), "\u2028".encode(), b"\\ud800", b"%00", b"%zz", b"../..", b"/", b"&a", b"*a"),
    *(b"!!python/object:os.system", b"2024-13-45", b"0o9", b"a" * 3000, b"[" * 200, b"<<", b": "),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1 << 31, 1 << 63, 1 << 70, 10**400, 1.5, -0.0, 1e308, 1e-320),
    *("", "x", "\0", "../x", "é", "\u2028", "data:,", "a" * 3000, "9" * 5000),
    *([], {}, [[]], [{}], {"": None}, [None], [[1], [2, 3]], {"b64": 1}, {"b64": {"b64": ""}}),
)


def bits(data: bytes, random: Random) -> bytes:
    """Turn a bit."""
    at = _place(data, random)
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def number(data: bytes, random: Random) -> bytes:
    """Write a number of 1 to 8 bytes over what is there, or what was there plus or minus a few."""
    width, order = random.choice([*WIDTHS]), random.choice("<>")
    at = _place(data, random)
    old = int.from_bytes(data[at : at + width], "little" if order == "<" else "big")
    value = random.choice([*NUMBERS, *LARGE, old + 1, old - 1, old * 2, -old])
    packed = struct.pack(order + WIDTHS[width], value & (1 << 8 * width) - 1)
    return data[:at] + packed + data[at + width :]


def cut(data: bytes, random: Random) -> bytes:
    """End the file too early."""
    return data[: _place(data, random)]


def drop(data: bytes, random: Random) -> bytes:
    """Leave out some bytes."""
    at = _place(data, random)
    return data[:at] + data[at + random.randint(1, LONGEST_RUN) :]


def repeat(data: bytes, random: Random) -> bytes:
    """Have some bytes twice, or hundreds of times."""
    at, length = _place(data, random), random.randint(1, LONGEST_RUN)
    return data[:at] + data[at : at + length] * random.choice((2, 2, 3, 500)) + data[at + length :]


def insert(data: bytes, random: Random) -> bytes:
    """Put bytes in between that mean nothing."""
    at = _place(data, random)
    return data[:at] + random.randbytes(random.randint(1, LONGEST_RUN)) + data[at:]


def move(data: bytes, random: Random) -> bytes:
    """Write a part of the file over another."""
    source, target = _place(data, random), _place(data, random)
    part = data[source : source + random.randint(1, LONGEST_RUN)]
    return data[:target] + part + data[target + len(part) :]


BYTES: tuple[Edit, ...] = (bits, number, number, cut, drop, repeat, insert, move)


def _place(data: bytes, random: Random) -> int:
    """Return a place in the file, every other time in its head, or in its last bytes."""
    if len(data) < 2:
        return 0
    part = random.randrange(8)
    if part < 4:
        return random.randrange(min(len(data), HEAD))
    return random.randrange(max(0, len(data) - HEAD) if part == 4 else 0, len(data))


def word(text: bytes, random: Random) -> bytes:
    """Put another word, number or sign in the place of one."""
    found = [*WORDS.finditer(text)]
    if not found:
        return random.choice(ODD_WORDS)
    one = random.choice(found)
    new = random.choice((random.choice(ODD_WORDS), random.choice(found)[0]))
    return text[: one.start()] + new + text[one.end() :]


def line(text: bytes, random: Random) -> bytes:
    """Leave a line out, have it twice, or elsewhere, or thousands of times."""
    lines = text.split(b"\n")
    at = random.randrange(len(lines))
    times = random.choice((0, 2, 2, 2000))
    other = random.randrange(len(lines))
    changed = [*lines[:at], *lines[at : at + 1] * times, *lines[at + 1 :]]
    if times == 2:
        changed[other : other + 1] = [lines[at]]
    return b"\n".join(changed)


TEXT: tuple[Edit, ...] = (word, word, word, line, bits, drop, insert)


def value(text: bytes, random: Random) -> bytes:
    """Change one value or key anywhere in a JSON text."""
    root = [json.loads(text)]
    holder, key = random.choice([*_places(root)])
    change = random.randrange(6)
    if change == 0 and isinstance(holder, dict):
        holder[random.choice(("", "instances", "inputs", "image", "b64", "data", "x"))] = (
            holder.pop(key)
        )
    elif change == 1:
        holder[key] = [holder[key]] * random.choice((1, 2, 70, 3000))
    elif change == 2:
        del holder[key]
    elif change == 3:
        holder[key] = _nested(holder[key], random.choice((2, 40, 600)))
    elif change == 4 and isinstance(holder[key], str):
        holder[key] = word(holder[key].encode(), random).decode("utf-8", "replace")
    else:
        holder[key] = random.choice(ODD_VALUES)
    return json.dumps(root[0] if root else None).encode()


def _places(holder: Any) -> Any:
    """Yield (container, key or index) of every value below a container; of long lists the ends."""
    keys = holder if isinstance(holder, dict) else range(len(holder))
    for key in [*keys] if len(keys) <= 8 else [*keys][:4] + [*keys][-2:]:
        yield holder, key
        if isinstance(holder[key], (dict, list)):
            yield from _places(holder[key])


def _nested(inner: Any, depth: int) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


JSON: tuple[Edit, ...] = (value, value, value, word, bits, cut)


def in_png(edit: Edit) -> Edit:
    """Return an edit that breaks the content of a chunk, and puts its checksum right."""

    def broken(data: bytes, random: Random) -> bytes:
        chunks = [*_png_chunks(data)]
        if not chunks:
            return edit(data, random)
        at = random.randrange(len(chunks))
        kind, content = chunks[at]
        changed = (kind, edit(content, random) if content else random.randbytes(4))
        chunks[at : at + 1] = [changed] * random.choice((1, 1, 1, 2))
        return data[:8] + b"".join(_png_chunk(*chunk) for chunk in chunks)

    return broken


def _png_chunks(data: bytes) -> Any:
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def in_zip(edits: Mapping[str, tuple[Edit, ...]]) -> Edit:
    """Return an edit that breaks a member of a zip file, by the edits for the ending of its name.

    The file around it stays right; names, flags and sizes are broken now and then instead.
    """

    def broken(data: bytes, random: Random) -> bytes:
        if not data.startswith(b"PK"):  # of several forms one
            return number(data, random)
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            members = [(entry.filename, old.read(entry)) for entry in old.infolist()]
        at = random.randrange(len(members))
        name, content = members[at]
        if random.randrange(4):
            fitting = next((e for end, e in edits.items() if name.endswith(end)), BYTES)
            members[at] = name, random.choice(fitting)(content, random)
        else:
            members[at] = _other_name(name, random), content
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", random.choice((0, 0, 8))) as new:
            for each in members[at:] + members[:at] if random.randrange(2) else members:
                new.writestr(*each)
        return stream.getvalue()

    return broken


def _other_name(name: str, random: Random) -> str:
    others = ("../" + name, "/" + name, name + "/", name.upper(), "a" * 300, "é\n", "..", "a/../b")
    return random.choice((*others, name[1:] or "x", name.replace("/", "\\")))


def in_tar(edits: Mapping[str, tuple[Edit, ...]]) -> Edit:
    """Return an edit that breaks a member of a .tar.gz, or what its header says, checksum right."""

    def broken(data: bytes, random: Random) -> bytes:
        stream = io.BytesIO()
        with (
            tarfile.open(fileobj=io.BytesIO(data)) as old,
            tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as new,
        ):
            members = old.getmembers()
            chosen = random.choice(members)
            for member in members:
                file = old.extractfile(member)
                content = b"" if file is None else file.read()
                if member is chosen and random.randrange(2):
                    fitting = (e for end, e in edits.items() if member.name.endswith(end))
                    content = random.choice(next(fitting, BYTES))(content, random)
                    member.size = len(content)
                elif member is chosen:
                    _break_header(member, random)
                new.addfile(member, io.BytesIO(content))
        return stream.getvalue()

    return broken


def _break_header(member: tarfile.TarInfo, random: Random) -> None:
    links = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)
    change = random.randrange(5)
    if change == 0:
        member.type, member.linkname = random.choice(links), random.choice(("/etc", "..", "x", ""))
    elif change == 1:
        member.name = _other_name(member.name, random)
    elif change == 2:
        member.mode = random.choice((0, 0o7777, 1 << 20))
    elif change == 3:
        member.pax_headers = {random.choice(("size", "path", "x")): random.choice(("-1", "9", ""))}
    else:
        member.mtime = random.choice((-1, 1 << 33, 0))


def in_gzip(edit: Edit) -> Edit:
    """Return an edit that breaks what a gzip file holds."""

    def broken(data: bytes, random: Random) -> bytes:
        return gzip.compress(edit(gzip.decompress(data), random), 1)

    return broken


def in_body(edits: tuple[Edit, ...]) -> Edit:
    """Return an edit that breaks the body of a request; its length in the headers stays right."""

    def broken(request: bytes, random: Random) -> bytes:
        head, blank, body = request.partition(b"\r\n\r\n")
        return head + blank + random.choice(edits)(body, random)

    return broken


def in_head(edits: tuple[Edit, ...] = TEXT) -> Edit:
    """Return an edit that breaks the headers of a request."""

    def broken(request: bytes, random: Random) -> bytes:
        head, blank, body = request.partition(b"\r\n\r\n")
        return random.choice(edits)(head, random) + blank + body

    return broken
