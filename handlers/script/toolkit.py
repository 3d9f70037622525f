"""What has to be known of AWS's ``sagemaker_inference``, which scripts may import.

Nothing here needs it: where it is not installed, no script can have imported it.
"""

from __future__ import annotations

import importlib.util
import io
import sys
import zipfile
from typing import Any

from handlers.runtime.arrays import Array, read_npy
from handlers.runtime.errors import (
    BadRequest,
    NotAcceptable,
    RequestError,
    UnsupportedMediaType,
)
from handlers.runtime.media import NPY
from handlers.script.codec import NPZ, check_unpacked_size

PACKAGE = "sagemaker_inference"
# A reason phrase is part of the status line.
MAX_PHRASE = 100


class Refusal(BadRequest):
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
    refused = Refusal(str(error.message), status, header_text(error.phrase)[:MAX_PHRASE])
    refused.kind = type(error).__name__
    return refused


def header_text(value: object) -> str:
    """Return ``value`` as one line of ASCII: TorchServe's protocol breaks on anything else."""
    text = " ".join(str(value).split())
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


def harden_decoder(max_bytes: int) -> None:
    """Keep ``sagemaker_inference.decoder`` from unpickling, and from unpacking zip bombs.

    As published it loads a client's ``.npy`` with ``allow_pickle=True``, which runs any code
    that the client sends.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        return
    from sagemaker_inference import decoder  # noqa: PLC0415 - a script's dependency, not ours

    def read_sparse(data: bytes) -> Any:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                check_unpacked_size(archive, max_bytes)
        except zipfile.BadZipFile as error:
            raise BadRequest("the body is no .npz file; write it with scipy.sparse") from error
        return decoder._npz_to_sparse(data)

    decoder._decoder_map |= {NPY: _read_npy, NPZ: read_sparse}


def _read_npy(data: bytes) -> Array:
    return read_npy(bytes(data))
