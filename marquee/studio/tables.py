"""What the tab "Operate" shows, as HTML: models, a change's steps, a canary, the history, a log.

All that comes from archives, logs and people is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from marquee.front.traffic import Summary
from marquee.studio.changes import Change
from marquee.torchserve.logs import Line
from marquee.torchserve.models import ModelState
from marquee.torchserve.modeltable import COLUMNS, REPLACED
from marquee.versions.canaries import Canary
from marquee.versions.canary import CanaryFigures
from marquee.versions.history import DONE, Record

# On a phone each row is a card, with its columns' names beside the cells.
STYLE = """
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:1rem}
.rows{overflow-x:auto}
.rows table{border:0;border-collapse:collapse;width:100%;font-size:.9rem}
.rows caption{text-align:left;font-weight:600;padding:.3rem 0}
.rows th,.rows td{text-align:left;padding:.3rem .8rem .3rem 0;vertical-align:top;border:0;
border-bottom:1px solid var(--border-color-primary)}
.rows th{font-weight:600;white-space:nowrap}
.rows .default td{font-weight:600}
.told ol{margin:.2rem 0;padding-left:1.4rem}
.told .failed{border-left:4px solid #c0392b;padding-left:.6rem}
.told .done{border-left:4px solid #2c7a3f;padding-left:.6rem}
.told p{margin:.3rem 0;overflow-wrap:anywhere}
.log pre{overflow-x:auto;font-size:.8rem;padding:.5rem;white-space:pre;
border:1px solid var(--border-color-primary)}
p{margin:.3rem 0}
@media (max-width:640px){
.rows thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
.rows tr{display:block;border:1px solid var(--border-color-primary);border-radius:6px;
padding:.3rem .6rem;margin:.4rem 0}
.rows td{display:flex;gap:.6rem;border:0;padding:.1rem 0;overflow-wrap:anywhere}
.rows td::before{content:attr(data-name);flex:0 0 6.5rem;font-weight:400;opacity:.8}
}
"""


def models(states: Sequence[ModelState], canaries: Mapping[str, Canary]) -> str:
    """Return what ``marquee models`` shows, with the canaries' shares."""

    def cells(one: ModelState) -> list[str]:
        found = {name: cell(one) for name, cell in COLUMNS.items()}
        canary = canaries.get(one.name)
        if canary is not None and canary.version == one.version:
            found["VERSION"] += f" canary {canary.share:.2%}"
        return [*found.values()]

    marks = ["default" if one.default else "" for one in states]
    note = paragraph(REPLACED) if any(one.replaced for one in states) else ""
    return table("What the server serves", [*COLUMNS], map(cells, states), marks) + note


def table(
    title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], marks: Sequence[str] = ()
) -> str:
    """Return a table.

    Args:
        marks: a class for each row, or for none.
    """
    names = [head.capitalize() for head in heads]
    body = []
    for number, row in enumerate(rows):
        mark = f' class="{marks[number]}"' if marks and marks[number] else ""
        cells = (
            f'<td data-name="{escape(name, quote=True)}">{escape(cell)}</td>'
            for name, cell in zip(names, row, strict=True)
        )
        body.append(f"<tr{mark}>{''.join(cells)}</tr>")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    # Who uses the keyboard alone can scroll it.
    label = escape(title, quote=True)
    return (
        f'<div class="rows" role="region" aria-label="{label}" tabindex="0"><table>'
        f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def told(change: Change) -> str:
    """Return a change's steps until now, and what came of it."""
    steps = "".join(
        f"<li><b>{escape(step['step'])}</b> {step['seconds']:.1f} s: {escape(step['said'])}</li>"
        for step in change.steps
    )
    end = ""
    if change.over:
        end = failed(change.said) if change.failed else _done(change)
    return f'<div class="told"><p>{escape(change.what)}</p><ol>{steps}</ol>{end}</div>'


def _done(change: Change) -> str:
    return f'<p class="done">{escape(change.said)} ({change.seconds:.1f} s)</p>'


def failed(sentence: str) -> str:
    """Return the sentence that says why something was refused, or went back."""
    return f'<div class="told"><p class="failed">{escape(sentence)}</p></div>'


def paragraph(sentence: str) -> str:
    """Return a sentence."""
    return f"<p>{escape(sentence)}</p>"


def canary(figures: CanaryFigures) -> str:
    """Return a canary beside its default version, as ``marquee canary MODEL`` shows both."""
    one = figures.canary
    rows = [
        [version, *_side(side)]
        for version, side in (
            (figures.default_version, figures.default),
            (one.version, figures.of_canary),
        )
    ]
    title = f"{one.model}: {one.share:.2%} of the requests go to {one.version}"
    return table(title, ["VERSION", "REQUESTS", "ERRORS", "RATE", "P50", "P95"], rows)


def _side(side: Summary) -> list[str]:
    times = ["-" if one is None else f"{one:.0f} ms" for one in (side.p50, side.p95)]
    return [str(side.requests), str(side.errors), f"{side.error_rate:.1%}", *times]


def history(records: Sequence[Record]) -> str:
    """Return changes, the newest first."""
    if not records:
        return paragraph("Nothing has been changed yet.")
    heads = ["WHEN", "WHO", "MODEL", "CHANGE", "VERSIONS", "TOOK", "OUTCOME", "WHY"]
    return table("Changes", heads, (_record(one) for one in reversed(records)))


def _record(record: Record) -> list[str]:
    versions = " -> ".join(filter(None, (record.get("from"), record.get("to"))))
    workers = f", {record['workers']} worker(s)" if "workers" in record else ""
    took = sum(step["seconds"] for step in record.get("steps", []))
    reason = record.get("reason", "")
    words = [record["when"].replace("T", " ").replace("+00:00", " UTC"), record["who"]]
    words += [record["model"], record["action"], versions + workers, f"{took:.1f} s"]
    outcome = record["outcome"]
    return [*words, outcome if outcome == DONE else outcome.upper(), reason]


def log(entries: Sequence[Mapping[str, Any]], lines: Sequence[Line]) -> str:
    """Return what the door says of a request, and its story as ``marquee logs`` prints it."""
    heads = ["ENDED", "MODEL", "VERSION", "ARM", "STATUS", "MODEL'S TIME", "TOOK", "IN", "OUT"]
    door = table("At the door", heads, map(_entry, entries)) if entries else ""
    return door + (_story(lines) if lines else paragraph("The server's logs say no more of it."))


def _entry(entry: Mapping[str, Any]) -> list[str]:
    ended = datetime.fromtimestamp(float(entry["time"])).astimezone()
    names = [str(entry.get(name) or "-") for name in ("model", "version", "arm", "status")]
    times = [f"{entry.get(name, '-')} ms" for name in ("server_ms", "total_ms")]
    sizes = [f"{entry.get(name, '-')} bytes" for name in ("bytes_in", "bytes_out")]
    return [f"{ended:%Y-%m-%d %H:%M:%S}", *names, *times, *sizes]


def _story(lines: Sequence[Line]) -> str:
    text = "\n".join(
        f"{one.time.replace('T', ' ')} {one.level:5} "
        f"{f'{one.model} {one.version}'.strip() or one.source:16} {one.text}"
        for one in lines
    )
    named = 'tabindex="0" role="region" aria-label="Lines of the logs"'
    return f'<div class="log"><pre {named}>{escape(text)}</pre></div>'
