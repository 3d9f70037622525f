"""A column of a parquet file as inputs: bytes, or paths and addresses."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from marquee.bulk.items import Item, located
from marquee.errors import MarqueeError

NAMED = re.compile(r"(?P<file>.+\.parquet)(?::(?P<column>.+))?")
# Rows that are held at once, and bytes that are read: a file's groups of rows may be large.
ROWS, BUFFER = 16, 1 << 20


def named(word: str) -> tuple[Path, str | None] | None:
    """Return the file and the column that ``FILE.parquet:COLUMN`` names; None for another word."""
    found = NAMED.fullmatch(word)
    return found and (Path(found["file"]), found["column"])


def listing(path: Path, column: str | None) -> Callable[[], Iterator[Item]]:
    """Return what lists a column: bytes by the numbers of their rows, paths as they are.

    Raises:
        MarqueeError: there is no such file or column, or it holds neither bytes nor text.
    """
    with _opened(path) as file:
        kinds = {field.name: str(field.type) for field in file.schema_arrow}
    if column is None or column not in kinds:
        missing = "say which column" if column is None else f"it has no column {column!r}"
        raise MarqueeError(f"{path}: {missing}, as in {path}:COLUMN; it has {', '.join(kinds)}")
    kind = kinds[column].removeprefix("large_")
    if kind not in ("binary", "string"):
        raise MarqueeError(
            f"{path}: the column {column!r} holds {kinds[column]}; expected bytes (binary), or "
            "paths (string)"
        )
    return partial(_rows, path, column, kind == "binary")


def _rows(path: Path, column: str, holds_bytes: bool) -> Iterator[Item]:
    number = 0
    with _opened(path) as file:
        for rows in file.iter_batches(batch_size=ROWS, columns=[column]):
            for value in rows.column(0):
                number += 1
                yield _item(number, value.as_py(), holds_bytes)


def _item(number: int, value: Any, holds_bytes: bool) -> Item:
    if value is None:
        return Item(f"row {number}", problem="the row holds nothing")
    return Item(f"row {number}", data=value) if holds_bytes else Item(value, located(value))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Lend a file that is opened.

    Raises:
        MarqueeError: pyarrow is not there, or the file is no parquet file, or damaged.
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise MarqueeError(
            f"{path}: a parquet file needs pyarrow, which is not installed here; run: "
            ".venv/bin/pip install pyarrow"
        ) from error
    if not path.is_file():
        raise MarqueeError(f"there is no file {path}")
    try:
        with parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
            yield file
    except (ValueError, OSError) as error:  # pyarrow's own errors are made from these
        raise MarqueeError(f"{path} is no parquet file, or damaged ({error})") from error
