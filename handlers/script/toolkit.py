"""What has to be known of AWS's ``sagemaker_inference``, which scripts may import.

Nothing here needs it: where it is not installed, no script can have imported it.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from handlers.runtime.arrays import Array, read_npy
from handlers.runtime.errors import (
    BadRequest,
    NotAcceptable,
    RequestError,
    TooLarge,
    UnsupportedMediaType,
)
from handlers.runtime.exchange import header_text
from handlers.runtime.media import JSON, NPY
from handlers.script.codec import CSV, NPZ
from handlers.script.npz import read_arrays

PACKAGE = "sagemaker_inference"
# A reason phrase is part of the status line.
MAX_PHRASE = 100
CELL_END = re.compile(r"[,\r\n]")
# Bytes of a letter in numpy's arrays of text.
TEXT_WIDTH = 4


class ScriptRefusal(BadRequest):
    """A 4xx of the script's own, with its status, phrase and message."""

    def __init__(
        self, message: str, status: int = BadRequest.status, phrase: str = BadRequest.phrase
    ) -> None:
        super().__init__(message)
        self.status = status
        self.phrase = phrase


def refusal(error: BaseException, *, answering: bool) -> RequestError | None:
    """Return what a script meant to tell the client by ``error``, or None if it just failed.

    Errors of the toolkit with a status from 400 to 499 are meant, and its
    ``UnsupportedFormatError``, which has no status: 415 for a request, 406 for an answer.

    Args:
        answering: it was raised while the answer was written.
    """
    errors: Any = sys.modules.get(f"{PACKAGE}.errors")
    if errors is None:
        return None
    if isinstance(error, errors.UnsupportedFormatError):
        message = " ".join(str(error).split())
        return NotAcceptable(message) if answering else UnsupportedMediaType(message)
    if not isinstance(error, errors.BaseInferenceToolkitError):
        return None
    status = error.status_code
    if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 499:
        return None
    refused = ScriptRefusal(str(error.message), status, header_text(error.phrase)[:MAX_PHRASE])
    refused.kind = type(error).__name__
    return refused


def harden_decoder(max_bytes: int) -> None:
    """Keep ``sagemaker_inference.decoder`` from unpickling, and from taking all memory there is.

    As published it loads a client's ``.npy`` with ``allow_pickle=True``, which runs any code
    that the client sends; it unpacks any ``.npz``, and gives every number of a JSON or CSV body
    the width of the longest text in it.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        return
    from sagemaker_inference import decoder  # noqa: PLC0415 - a script's dependency, not ours

    def read_sparse(data: bytes) -> Any:
        read_arrays(bytes(data), max_bytes)
        return decoder._npz_to_sparse(data)

    def read_json(text: str) -> Any:
        value = json.loads(text)
        _check_texts(_leaves(value), max_bytes)
        return np.array(value)

    def read_csv(text: str) -> Any:
        _check_texts(CELL_END.split(text), max_bytes)
        return decoder._csv_to_numpy(text)

    decoder._decoder_map |= {NPY: _read_npy, NPZ: read_sparse, JSON: read_json, CSV: read_csv}


def _leaves(value: Any) -> list[Any]:
    """Return all that lies in nested lists, not in recursion: they may be nested deeply."""
    leaves: list[Any] = []
    lists = [[value]]
    while lists:
        for item in lists.pop():
            (lists if isinstance(item, list) else leaves).append(item)
    return leaves


def _check_texts(leaves: Sequence[Any], max_bytes: int) -> None:
    """Refuse texts that numpy would make a table of cells as wide as the longest of them."""
    longest = max((len(leaf) for leaf in leaves if isinstance(leaf, str)), default=0)
    size = longest * len(leaves) * TEXT_WIDTH
    if size > max_bytes:
        raise TooLarge(
            f"{len(leaves)} values with a text of {longest} letters among them take {size} bytes "
            f"as an array, at most {max_bytes} are read; send numbers, or shorter texts"
        )


def _read_npy(data: bytes) -> Array:
    return read_npy(bytes(data))
