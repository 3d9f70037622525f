"""Predictions and explanations for many files, several in flight at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from marquee.client.modelclient import FileAnswer, ModelClient
from marquee.client.outputs import OutputFiles
from marquee.client.request import PredictionRequest
from marquee.media import ANSWERS, accepted, type_of
from marquee.project import Project

# Answers that wait for an earlier file's; with as many in flight, all a long list may hold.
AHEAD = 16


def predict(
    project: Project,
    model: str,
    files: Iterable[Path],
    *,
    version: str | None = None,
    accept: str | None = None,
    parameters: Mapping[str, str] | None = None,
    content_type: str | None = None,
    output: str | None = None,
    jobs: int = 4,
    verb: str = "predictions",
    **patience: Any,
) -> Iterator[FileAnswer]:
    """Ask the project's running server about each file, and yield the answers in their order.

    Args:
        version: which version; the default one when None.
        accept: a media type, or ``json``, ``png``, ``jpg``, ``npy``; by ``output``'s suffix, else
            the model's own default, when None.
        parameters: the model's parameters.
        content_type: of the files, in the same words as ``accept``; by each one's bytes and name
            when None.
        output: where answers are saved, see :class:`marquee.client.outputs.OutputFiles`. Without,
            text is in ``FileAnswer.body`` and anything else in a file of the current folder.
        jobs: files in flight at once.
        verb: ``predictions`` or ``explanations``.
        patience: ``retries`` and ``timeout`` of :class:`marquee.client.modelclient.ModelClient`.

    Raises:
        MarqueeError: no server runs, or it has no such model. What went wrong with a single file is
            in its answer's ``problem``.
    """
    wanted = accepted(accept) if accept else _by_output(output)
    sent = accepted(content_type) if content_type else None
    request = PredictionRequest(model, version, verb, wanted, parameters or {}, sent)
    listed = [*files]
    label = model if verb == "predictions" else f"{model}-explained"
    outputs = OutputFiles(output, label, len(listed))
    client = ModelClient(project, request, outputs, **patience)
    pool = ThreadPoolExecutor(jobs)
    try:
        yield from _in_order(pool, client, listed, jobs + AHEAD)
    finally:
        # After Ctrl-C, or a server that is gone, nobody waits for what is still under way.
        pool.shutdown(wait=False, cancel_futures=True)
        client.close()
        outputs.abandon()


def explain(
    project: Project, model: str, files: Iterable[Path], **options: Any
) -> Iterator[FileAnswer]:
    """As :func:`predict`, for what in each file led to the answer."""
    return predict(project, model, files, verb="explanations", **options)


def _by_output(output: str | None) -> str | None:
    suffix = Path(output or "").suffix.lower()
    return type_of(Path(output or "")) if suffix in ANSWERS else None


def _in_order(
    pool: ThreadPoolExecutor, client: ModelClient, files: Iterable[Path], window: int
) -> Iterator[FileAnswer]:
    waiting: deque[Future[FileAnswer]] = deque()
    for file in files:
        waiting.append(pool.submit(client.send, file))
        if len(waiting) >= window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
