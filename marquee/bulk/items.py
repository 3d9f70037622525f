"""What goes to a worker and comes back: inputs, and what was answered to each."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from marquee.bulk import s3
from marquee.client.request import PredictionRequest
from marquee.errors import MarqueeError


@dataclass(frozen=True)
class Item:
    """An input.

    Attributes:
        name: what stands for it in the table; a second input of the same name is not asked.
        path: of its file, or its ``s3://`` address; may be empty where ``data`` is known.
        data: its bytes, where they are known already.
        problem: why it has none, in words.
        read_seconds: that reading it took.
        alone: whether it was asked before, and is to be asked without others now.
    """

    name: str
    path: str = ""
    data: bytes | None = None
    problem: str | None = None
    read_seconds: float = 0.0
    alone: bool = False


@dataclass(frozen=True)
class Orders:
    """What a worker has to know.

    Attributes:
        request: what is asked of each input.
        batch: how many inputs at a time.
        limit: bytes that an input may have.
        timeout: seconds that a batch may take, as TorchServe's ``responseTimeout``.
        startup: seconds that loading may take.
        share: how many workers share the CPU threads; None leaves it to the handler.
        number: of the worker, the first is 0; it takes the GPU of that number, where there is any.
    """

    request: PredictionRequest
    batch: int
    limit: int
    timeout: float
    startup: float
    share: int | None = None
    number: int = 0


@dataclass(frozen=True)
class Result:
    """What came of one input.

    Attributes:
        name: the input's.
        status: HTTP status of the answer; None where there is none.
        content_type, body: of the answer.
        problem: why there is no answer, in words; None for an answer.
        seconds: that its stages took, by their names.
        again_after: seconds after which it is worth asking again, as a busy server says.
    """

    name: str
    status: int | None = None
    content_type: str = ""
    body: bytes = b""
    problem: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    again_after: float = 0.0


@dataclass(frozen=True)
class Reply:
    """What a worker said to a batch.

    Attributes:
        results: as many as it got to.
        died: how it ended before it had answered all, in words.
        blamed: whether what it had not answered may be why.
    """

    results: list[Result]
    died: str | None = None
    blamed: bool = False


def located(name: str) -> str:
    """Return the path, or the address, that a name stands for from the current folder."""
    return name if s3.is_address(name) else os.path.join(os.getcwd(), name)  # noqa: PTH109, PTH118


def read(item: Item, limit: int) -> Item:
    """Return an input with its bytes, or with why it has none; raises nothing.

    Args:
        item: whose bytes may be known already.
        limit: bytes that it may have.
    """
    started = time.perf_counter()
    if item.problem is not None:
        return item
    if item.data is None:
        data, problem = _bytes_of(item.path, limit)
    elif len(item.data) > limit:
        data, problem = None, _too_large(len(item.data), limit)
    else:
        return item
    took = round(time.perf_counter() - started, 6)
    return replace(item, data=data, problem=problem, read_seconds=took)


def _too_large(size: int, limit: int) -> str:
    """Return the words for an input that is larger than a server would take."""
    return (
        f"it has {size} bytes, at most {limit} are taken (max_request_size in config.properties, "
        "or TS_MAX_REQUEST_SIZE)"
    )


def _bytes_of(path: str, limit: int) -> tuple[bytes | None, str | None]:
    """Return the bytes of a file or an object, or why there are none."""
    try:
        if s3.is_address(path):
            size, body = s3.read(path, limit)
            return (None, _too_large(size, limit)) if size > limit else (body, None)
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            return None, "it is no file"
        if status.st_size > limit:
            return None, _too_large(status.st_size, limit)
        return Path(path).read_bytes(), None
    except OSError as error:
        return None, f"it cannot be read: {error.strerror or error}"
    except (MarqueeError, ValueError) as error:  # a path with a zero byte is a ValueError
        return None, f"it cannot be read: {error}"
