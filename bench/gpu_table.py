"""What ``bench.gpu`` found, as tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Finding = dict[str, Any]
Row = Sequence[object]
TARGETS = {"timetravel": 4.0, "inkwash": 3.0}
SIZES = {"timetravel": "1024 px, four ages", "inkwash": "1080p, four photos"}


def tables(machine: Finding, findings: list[Finding]) -> str:
    """Return all tables, below a heading with the device's name."""
    title = [
        f"# GPU check: {machine['name']}",
        f"{machine['when']}; {machine['versions']}; {machine['seconds']:.0f} s in all.",
    ]
    parts = [
        ("Checks", _checks(findings)),
        ("Agreement with the reference vectors", _agreements(findings)),
        ("Against the original's loop in float32", _against(findings)),
        ("By batch", _speeds(findings)),
        ("What the device reaches", _ceilings(findings)),
        ("Not possible here, or not in time", _impossible(findings)),
    ]
    return (
        "\n\n".join([*title, *(f"## {name}\n\n{table}" for name, table in parts if table)]) + "\n"
    )


def failures(findings: list[Finding]) -> list[str]:
    """Return what is wrong, a line each."""
    said = []
    for one in _of(findings, "check", "agreement"):
        if one.get("failed"):
            what = one.get("model", "")
            said.append(f"{what} {one['what']}: {one['found']}".strip())
    return said


def _of(findings: list[Finding], *kinds: str) -> list[Finding]:
    return [one for one in findings if one["kind"] in kinds]


def _table(head: Row, rows: list[Row]) -> str:
    if not rows:
        return ""
    lines: list[Row] = [head, ["---"] * len(head), *rows]
    texts = ([str(value) for value in line] for line in lines)
    return "\n".join("| " + " | ".join(line) + " |" for line in texts)


def _checks(findings: list[Finding]) -> str:
    rows: list[Row] = [
        (one["what"], one["found"], "**wrong**" if one["failed"] else "right")
        for one in _of(findings, "check")
    ]
    return _table(("what", "found", ""), rows)


def _agreements(findings: list[Finding]) -> str:
    cases: dict[tuple[str, str], dict[str, Finding]] = {}
    for one in _of(findings, "agreement"):
        cases.setdefault((one["model"], one["what"]), {})[one["precision"]] = one
    names = ("fp32", "tf32", "bf16", "fp16")
    rows: list[Row] = [
        (model, what, _limit(by_name), *(_number(by_name, name) for name in names))
        for (model, what), by_name in cases.items()
    ]
    return _table(("model", "compared", "fp32 must keep", *names), rows)


def _limit(by_name: dict[str, Finding]) -> str:
    return f"{by_name['fp32']['limit']:g}" if "fp32" in by_name else ""


def _number(by_name: dict[str, Finding], name: str) -> str:
    if name not in by_name:
        return ""
    mark = "**" if by_name[name]["failed"] else ""
    return f"{mark}{by_name[name]['found']:.3g}{mark}"


def _against(findings: list[Finding]) -> str:
    rows: list[Row] = []
    for one in _of(findings, "against"):
        plain, usual = one["original"]["fp32"], one["original"]["PyTorch's default"]
        rows.append(
            (
                f"{one['model']}, {SIZES[one['model']]}",
                one["precision"],
                _time(one),
                f"{plain * 1e3:.1f}",
                f"{plain / one['seconds']:.2f} (target {TARGETS[one['model']]:g})",
                f"{usual / one['seconds']:.2f}",
                _memory(one),
                *_shares(one),
            )
        )
    head = ("what", "precision", "ms", "original, ms", "times as fast", "as PyTorch's default")
    return _table((*head, "MB", "of matmul", "of copy"), rows)


def _speeds(findings: list[Finding]) -> str:
    rows: list[Row] = [
        (
            one["model"],
            one["precision"],
            one["way"],
            one["batch"],
            _time(one),
            f"{one['batch'] / one['seconds']:.0f}",
            _memory(one),
            *_shares(one),
            f"{one['first']:.1f}",
        )
        for one in _of(findings, "speed")
    ]
    head = ("model", "precision", "way", "batch", "ms", "items a second", "MB")
    return _table((*head, "of matmul", "of copy", "first call, s"), rows)


def _time(one: Finding) -> str:
    fastest, slowest = one["fastest"] * 1e3, one["slowest"] * 1e3
    return f"{one['seconds'] * 1e3:.2f} ({fastest:.2f} to {slowest:.2f})"


def _memory(one: Finding) -> str:
    return "" if one["megabytes"] is None else f"{one['megabytes']:.0f}"


def _shares(one: Finding) -> tuple[str, str]:
    return f"{one['of_flops']:.0%}", f"{one['of_copy']:.0%}"


def _ceilings(findings: list[Finding]) -> str:
    found = _of(findings, "ceilings")
    if not found:
        return ""
    # The best of all processes: what the device can do is not less because it was once busy.
    rows: list[Row] = [
        (
            f"matrix product, {name}",
            f"{max(one['flops'][name] for one in found) / 1e12:.3g} TFLOP/s",
        )
        for name in found[0]["flops"]
    ]
    names = {"copy": "copy on the device, read and written", "upload_pinned": "upload, pinned"}
    names |= {"upload_paged": "upload, paged"}
    rows += [
        (text, f"{max(one[key] for one in found) / 1e9:.4g} GB/s") for key, text in names.items()
    ]
    return _table(("what", "reached"), rows)


def _impossible(findings: list[Finding]) -> str:
    rows: list[Row] = [
        (one["what"], one["why"].replace("|", "/")) for one in _of(findings, "impossible")
    ]
    return _table(("what", "why"), rows)
