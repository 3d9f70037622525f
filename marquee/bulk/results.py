"""The folder of the results: a table with a row for each input, and answers that are files.

    batch.json      what is asked of which archive
    results.jsonl   a row of JSON for each input, as they are answered
    answers/        pictures, arrays and long texts
    worker.log      what the workers said

A row is written after its answer's file. So what a killed run leaves is right as it is, but for a
last row that is cut off, and the same command goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from marquee import state
from marquee.bulk.items import Result
from marquee.errors import MarqueeError
from marquee.files import locked, replacing
from marquee.media import is_shown, suffix_of

TABLE, JOB, LOCK, LOG, ANSWERS = "results.jsonl", "batch.json", ".lock", "worker.log", "answers"
# Text of more letters than these is a file.
LONGEST_TEXT = 1 << 16
# Of an input's name in that of its answer.
LONGEST_STEM = 60
Row = dict[str, Any]


class Results:
    """A folder of results that this process alone writes to; see :func:`opened`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows = folder.joinpath(TABLE).open("ab", buffering=0)

    @property
    def table(self) -> Path:
        """The table."""
        return self._folder / TABLE

    @property
    def log(self) -> Path:
        """The file for what workers say."""
        return self._folder / LOG

    def close(self) -> None:
        """Close the table."""
        self._rows.close()

    def row(self, result: Result) -> Row:
        """Save an answer where it is to be a file, and return the row of its input.

        Raises:
            OSError: there is no room for it.
        """
        row: Row = {"input": result.name, "status": result.status}
        row |= {"type": result.content_type or None, "answer": None, "file": None}
        if result.problem is None:
            try:
                row["answer"] = _shown(result)
            except (ValueError, RecursionError):
                row["file"] = self._saved(result)
        return row | {"error": result.problem, "seconds": dict(result.seconds)}

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows.

        Raises:
            OSError: there is no room for them.
        """
        text = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        while text:
            text = text[self._rows.write(text) :]

    def _saved(self, result: Result) -> str:
        inside = answer_name(result.name, result.content_type)
        path = self._folder / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_bytes(result.body)
        return inside


def answer_name(name: str, content_type: str) -> str:
    """Return where in the folder the answer to an input lies: always the same for the same one.

    Of the input's name only letters, digits, dots and dashes are kept; a digest of all of it tells
    apart what looks alike then, and spreads a million files over 256 folders.
    """
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:20]
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", PurePosixPath(name).name)[:LONGEST_STEM]
    return f"{ANSWERS}/{digest[:2]}/{stem}-{digest[2:]}{suffix_of(content_type)}"


def _shown(result: Result) -> Any:
    """Return an answer as it stands in a row: JSON as a value, text as it is.

    Raises:
        ValueError, RecursionError: it is neither, or long.
    """
    if not is_shown(result.content_type) or len(result.body) > LONGEST_TEXT:
        raise ValueError("for a file")
    text = result.body.decode()
    if "json" not in result.content_type:
        return text
    return json.loads(text, parse_constant=_refuse)


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")  # not every reader of the table would take it


@contextmanager
def opened(folder: Path, job: Mapping[str, Any], *, again: bool) -> Iterator[Results]:
    """Make or go on with a folder of results, which no other process writes to meanwhile.

    Args:
        folder: a new or empty one, or one that an earlier run for the same job has left.
        job: what is asked of which archive; plain JSON.
        again: whether rows without an answer are taken out of the table.

    Raises:
        MarqueeError: another process writes to it, or it holds something else.
        OSError: it cannot be written to.
    """
    if folder.parts[:1] == ("s3:",):
        raise MarqueeError(
            f"the results go to a folder of this machine, not to {folder}; copy them from there "
            "(aws s3 sync)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(locked(folder / LOCK, wait=False))
        except BlockingIOError as error:
            raise MarqueeError(
                f"another marquee batch is writing to {folder}; wait for its end, or name another "
                "folder"
            ) from error
        _check(folder, job)
        if again and (folder / TABLE).exists():
            _take_out_failures(folder / TABLE)
        results = Results(folder)
        held.callback(results.close)
        yield results


def _check(folder: Path, job: Mapping[str, Any]) -> None:
    """Refuse a folder of anything else; note the job in a new one."""
    before = state.read(folder / JOB)
    if not before:
        if others := sorted(path.name for path in folder.iterdir() if path.name[0] != "."):
            raise MarqueeError(
                f"{folder} holds {others[0]}, which no marquee batch has written; name a new "
                "folder, or an empty one"
            )
        state.write(folder / JOB, job)
    elif before != job:
        changes = (
            f"{key} was {json.dumps(before.get(key))} and is {json.dumps(job.get(key))}"
            for key in sorted({*before, *job})
            if before.get(key) != job.get(key)
        )
        raise MarqueeError(
            f"{folder} holds the results of another batch: {', '.join(changes)}; name another "
            "folder, or delete this one"
        )


def recovered(table: Path) -> Iterator[Row]:
    """Yield the rows of a table, and cut off a last one that is incomplete.

    Raises:
        MarqueeError: a row before the last is damaged.
    """
    end = 0
    with table.open("r+b") as rows:
        for number, line in enumerate(rows, 1):
            try:
                row: Row = json.loads(line) if line.endswith(b"\n") else {}
            except ValueError:
                row = {}
            if "input" not in row:
                if rows.read(1):
                    raise MarqueeError(
                        f"{table} is damaged: line {number} is no row; mend or delete the line"
                    )
                break
            end += len(line)
            yield row
        rows.truncate(end)


def _take_out_failures(table: Path) -> None:
    with replacing(table) as part, part.open("w") as kept:
        for row in recovered(table):
            if row["error"] is None:
                kept.write(json.dumps(row) + "\n")
