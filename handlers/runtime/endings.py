"""How a request ends that cannot be answered as it was asked, and how a worker does."""

from __future__ import annotations

import logging
import os
import threading

from handlers.runtime.errors import (
    InsufficientMemory,
    InternalError,
    RequestError,
    TooLarge,
    Unavailable,
    raised,
)
from handlers.runtime.memory import is_out_of_memory

logger = logging.getLogger(__name__)

# Long enough for TorchServe to read the last answer, short enough to be back in seconds.
EXIT_DELAY_SECONDS = 0.5


def refusal_of(error: BaseException, code: str, request_id: str) -> RequestError:
    """Return what a client is told of an unforeseen error, of which the log has the story.

    Args:
        code: what raised it, such as "the model".
    """
    if is_out_of_memory(error):
        return InsufficientMemory("not enough memory for this input; send less")
    return InternalError(
        f"{code} failed on this request; the server's log has the details "
        f"under request {request_id or 'without id'}",
        cause=error,
    )


def device_lost(cause: BaseException | None = None) -> RequestError:
    """Return what is answered once the device's context is lost, until the worker has ended."""
    error = Unavailable("the device failed and this worker is being replaced; send it again")
    error.reason = "" if cause is None else raised(cause)
    return error


def check_answer_size(body: bytes, limit: int) -> None:
    """Refuse an answer for which TorchServe would kill the worker, and with it the whole batch.

    Raises:
        TooLarge: names the setting.
    """
    if len(body) > limit:
        raise TooLarge(
            f"the answer is {len(body)} bytes, the server sends at most {limit}; "
            "ask for less or a smaller type, or raise max_response_size in config.properties "
            "(TS_MAX_RESPONSE_SIZE)"
        )


def exit_soon() -> None:
    """End this process once the answers at hand are out; TorchServe then starts a clean worker."""
    logger.error("the device's context is lost; this worker exits to be replaced")
    timer = threading.Timer(EXIT_DELAY_SECONDS, os._exit, args=(1,))
    timer.daemon = True
    timer.start()
