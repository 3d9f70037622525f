"""How ``marquee archive --inspect`` and ``--diff`` print what they found."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from marquee.archives.build import weights_of
from marquee.archives.diff import Change, Difference
from marquee.archives.inspection import Inspection
from marquee.cli.errors import printable

NO_DIGEST = "its manifest states no content digest: not made by marquee, or by an early one"


def inspection(found: Inspection) -> str:
    """Return an inspection for people."""
    content = "right, " + found.content if found.content else NO_DIGEST
    lines = [
        f"{found.model} {found.version}  ({found.path})",
        f"sha256    {found.sha256}",
        "safe      yes: no path, link or size that should not be",
        f"content   {content}",
        f"handler   {found.handler}",
        f"weights   {found.weights or 'none'}{_whose(found.path)}",
        f"golden    {', '.join(found.golden) or 'no golden requests'}",
        *_config(found.config),
        f"files     {len(found.entries)}, {found.unpacked_size} bytes",
        *(
            f"  {entry.size:>12}  {entry.sha256[:12]}  {name}"
            for name, entry in found.entries.items()
        ),
    ]
    return printable("\n".join(lines))


def _whose(archive: Path) -> str:
    said = weights_of(archive)
    return "" if said is None else f" ({said})"


def _config(text: str | None) -> list[str]:
    if text is None:
        return ["config    none"]
    return ["config", *(f"  {line}" for line in text.splitlines())]


def inspection_json(found: Inspection) -> str:
    """Return an inspection for machines."""
    plain = asdict(found) | {"path": str(found.path), "safe": True}
    return json.dumps(plain | {"unpacked_size": found.unpacked_size}, indent=1)


def unsafe_json(path: Path, why: str) -> str:
    """Return for machines why there is no inspection."""
    return json.dumps({"path": str(path), "safe": False, "why": why}, indent=1)


def difference(found: Difference) -> str:
    """Return a difference for people."""
    lines = [_line(change) for change in found.changes] or ["the same files, byte for byte"]
    texts = [change.text.rstrip("\n") for change in found.changes if change.text]
    told = [f"weights: {found.weights}", f"content: {_content(found)}", f"golden: {_golden(found)}"]
    return printable("\n".join([*lines, *told, *texts]))


def _content(found: Difference) -> str:
    if found.content == "same" and found.changes:
        return "same; only manifest or golden answers differ"
    return found.content


def _golden(found: Difference) -> str:
    if found.golden == "alike":
        return "alike, within their tolerance, as another kind of processor answers"
    return found.golden


def _line(change: Change) -> str:
    sizes = [str(entry.size) for entry in (change.before, change.after) if entry is not None]
    return f"{change.verb:<8} {change.name}  ({' -> '.join(sizes)} bytes)"


def difference_json(found: Difference) -> str:
    """Return a difference for machines."""
    changes: list[dict[str, Any]] = [{"change": one.verb} | asdict(one) for one in found.changes]
    plain = {"weights": found.weights, "content": found.content, "golden": found.golden}
    return json.dumps(plain | {"changes": changes}, indent=1)
