"""A worker without a server: an unpacked archive, loaded and asked as TorchServe does it.

For a process of its own, since the archive's modules are imported from the archive.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

from marquee.archives import reader
from marquee.archives.worker_messages import (
    Socket,
    WorkerReply,
    WorkerRequest,
    error_reply,
    failure,
    read,
    reply_of,
)


class _Unfit(Exception):
    """A handler did not return what TorchServe can send."""


class Worker:
    """A loaded model.

    Args:
        folder: the unpacked archive; must come first on ``sys.path``.
        batch_size: of the batches it will be asked.
    """

    def __init__(self, folder: Path, batch_size: int = 1) -> None:
        from ts.model_loader import ModelLoaderFactory  # noqa: PLC0415 - torch takes seconds

        # As in a worker, the loop that handlers find when they load is that which awaits them.
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        manifest = reader.read(folder)
        self._service = ModelLoaderFactory.get_model_loader().load(
            manifest.name,
            str(folder),
            manifest.handler,
            gpu_id=None,
            batch_size=batch_size,
            metrics_cache=_metrics(),
        )

    @property
    def handler(self) -> Any:
        """The handler's object, or its module's function."""
        entry = self._service._entry_point
        return getattr(entry, "__self__", entry)

    @property
    def config(self) -> Mapping[str, Any]:
        """What the archive's model-config.yaml says."""
        config = self._service.context.model_yaml_config
        return config if isinstance(config, dict) else {}

    def close(self) -> None:
        """Close the loop that awaits asynchronous handlers."""
        asyncio.set_event_loop(None)
        self._loop.close()

    def ask(self, *requests: WorkerRequest) -> list[WorkerReply]:
        """Send requests as one batch; one reply for each."""
        from ts.protocol.otf_message_handler import create_predict_response  # noqa: PLC0415
        from ts.utils.util import PredictionException  # noqa: PLC0415

        batch = [one.row(f"request-{index}") for index, one in enumerate(requests)]
        headers, rows, ids = self._service.retrieve_data_for_inference(batch)
        context, socket = self._service.context, Socket()
        context.request_ids, context.request_processor = ids, headers
        context.metrics.request_ids = ids
        context.cl_socket = socket
        try:
            bodies = self._bodies(rows)
            sent = create_predict_response(bodies, ids, "Prediction success", 200, context)
        except PredictionException as error:
            return [error_reply(error.error_code, str(error.message))] * len(requests)
        except _Unfit as error:
            return [failure(str(error))] * len(requests)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything
            return [failure(f"the handler raised {type(error).__name__}: {error}")] * len(requests)
        message = read(sent)
        if message.code != 200:
            kinds = ", ".join(sorted({type(body).__name__ for body in bodies}))
            return [failure(f"the handler returned {kinds}: {message.words}")] * len(requests)
        return [reply_of(socket.pieces.get(one, []), message.sent[one]) for one in ids.values()]

    def _bodies(self, rows: list[Any]) -> list[Any]:
        """Return the handler's answers.

        Raises:
            _Unfit: they are not as many, or nothing that TorchServe takes for answers.
        """
        answers = self._service._entry_point(rows, self._service.context)
        # TorchServe knows from the archive, not from what the handler returns.
        if self.config.get("asyncCommunication") is True:
            if not inspect.isawaitable(answers):
                raise _Unfit(
                    f"the handler returned {_kind(answers)}; with asyncCommunication: true in "
                    "model-config.yaml it must be 'async def handle'"
                )
            answers = self._loop.run_until_complete(_awaited(answers))
        elif inspect.iscoroutine(answers):
            answers.close()
            raise _Unfit(
                "the handler is 'async def', which TorchServe awaits only with "
                "asyncCommunication: true in model-config.yaml"
            )
        if not isinstance(answers, list) or len(answers) != len(rows):
            count = f"{len(rows)} answer{'s' if len(rows) > 1 else ''}"
            raise _Unfit(f"the handler returned {_kind(answers)}, expected a list of {count}")
        return answers


async def _awaited(answers: Awaitable[Any]) -> Any:
    return await answers


def _kind(answers: Any) -> str:
    """Say what a handler returned in place of answers."""
    if isinstance(answers, list):
        return f"a list of {len(answers)}"
    return "None" if answers is None else f"a value of type {type(answers).__name__}"


def _metrics() -> Any:
    """Return TorchServe's own metrics, which some handlers take for granted."""
    import ts  # noqa: PLC0415
    from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl  # noqa: PLC0415

    cache = MetricsCacheYamlImpl(str(Path(ts.__file__).parent / "configs" / "metrics.yaml"))
    cache.initialize_cache()
    return cache
