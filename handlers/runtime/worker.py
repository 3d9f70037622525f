"""What every worker does with a batch: its own answer for each request, whatever happens."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from handlers.runtime import jsontext, kserve, tracing
from handlers.runtime.channel import guard_log, serves_torchserve
from handlers.runtime.collector import spare_loaded
from handlers.runtime.endings import check_answer_size, device_lost, exit_soon, refusal_of
from handlers.runtime.errors import RequestError, Unprocessable
from handlers.runtime.exchange import Answer, Context, Exchange, header_text, identity, who
from handlers.runtime.heap import Heap
from handlers.runtime.lostdevice import is_lost, is_lost_on
from handlers.runtime.media import JSON
from handlers.runtime.metrics import StageMetrics, WorkerMemory
from handlers.runtime.readahead import read_ahead
from handlers.runtime.request import Row
from handlers.runtime.settings import Settings, threads_per_worker
from handlers.runtime.torchserve import max_response_size, take_bodies_as_bytes

logger = logging.getLogger(__name__)


class LoadError(ValueError):
    """The model cannot be served: it failed on its own example."""


class Worker(ABC):
    """One worker of TorchServe, which calls ``initialize`` once and ``handle`` often.

    Attributes:
        unexplained: why there are no explanations, where there are none.
        example_headers: request headers that the archive's own example needs.
        reuses_memory: whether freed memory is kept for the tensors to come while a batch is
            answered, also in large blocks. It pays where layers of many megabytes follow each
            other; see ``handlers.runtime.heap``, which gives back what is much in any case.
        model_dir: the folder that the archive is unpacked into.
        settings: the ``marquee:`` section of model-config.yaml.
        device: where the model runs; the CPU until it is known.
        threads: this worker's share of the cores.
    """

    unexplained: str = "this model has no explanations"
    example_headers: Mapping[str, str] = MappingProxyType({})
    reuses_memory: bool = False

    model_dir: Path
    settings: Settings
    device = torch.device("cpu")
    threads: int
    # What is said to have failed, where a request's failure is nobody else's.
    _user_code = "the model"
    _device_lost = False
    _heap: Heap | None = None
    _tracer: tracing.Tracer | None = None
    # What version 2 of KServe's protocol says of the answers; no more is known than was seen.
    _tensors: Sequence[Mapping[str, Any]] = ()

    @abstractmethod
    def initialize(self, context: Context) -> None:
        """Load what the archive holds, and answer its example."""

    def _configure(self, context: Context) -> None:
        """Set up what does not depend on the model."""
        take_bodies_as_bytes()
        guard_log()
        if serves_torchserve():
            read_ahead()
        self._heap = Heap(keeps=self.reuses_memory)
        self.model_dir = Path(context.system_properties["model_dir"])
        self.settings = Settings.from_yaml(context.model_yaml_config)
        self.threads = threads_per_worker(self.settings, context.model_yaml_config)
        torch.set_num_threads(self.threads)
        self._who = who(context)
        self._max_response = max_response_size()
        self._metrics = StageMetrics(context.metrics, context.model_name)
        self._memory = WorkerMemory(context.metrics, context.model_name, context.manifest)
        self._tracer = tracing.tracer(self._who)

    def handle(self, rows: list[Row], context: Context) -> list[bytes]:
        """Answer each row of a batch: same order, one status, content type and body for each."""
        exchanges = [
            Exchange(row, context.get_all_request_header(i), context.get_request_id(i) or "")
            for i, row in enumerate(rows)
        ]
        began = self._tracer.begin(exchanges) if self._tracer else 0
        self.answer(exchanges)
        bodies = [_reply(exchange, i, context) for i, exchange in enumerate(exchanges)]
        self._metrics.report([e.watch for e in exchanges], exchanges[0].request_id)
        self._memory.report(exchanges[0].request_id)
        if self._tracer:
            self._tracer.report(exchanges, began)
        if self._device_lost:
            exit_soon()
        return bodies

    def answer(self, exchanges: list[Exchange]) -> None:
        """Give every exchange its answer; raises nothing. Predictions come before explanations."""
        predictions: list[Exchange] = []
        explanations: list[Exchange] = []
        for exchange in exchanges:
            if exchange.asks_description or exchange.protocol in kserve.ABOUT:
                with self._guarded(exchange):
                    exchange.answer = Answer(jsontext.dumps(self._about(exchange)), JSON)
            else:
                (explanations if exchange.asks_explanation else predictions).append(exchange)
        self._answer_predictions(predictions)
        self._answer_explanations(explanations)
        if self._heap is not None:
            self._heap.settle()

    def _about(self, exchange: Exchange) -> dict[str, Any]:
        if exchange.asks_description:
            return self.describe()
        return kserve.about(exchange.protocol, self._who, self._tensors)

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what TorchServe's description of the model says of it, as JSON."""

    @abstractmethod
    def _answer_predictions(self, exchanges: list[Exchange]) -> None:
        """Answer requests for predictions; raises nothing."""

    def _answer_explanations(self, exchanges: list[Exchange]) -> None:
        """Answer requests for explanations; raises nothing."""
        for exchange in exchanges:
            exchange.fail(Unprocessable(self.unexplained))

    @contextmanager
    def _guarded(self, exchange: Exchange) -> Iterator[None]:
        """Turn whatever the ``with`` block raises into this exchange's own answer."""
        try:
            yield
        except RequestError as error:
            self._device_lost |= is_lost(error)  # of which it may be the model's own telling
            exchange.fail(error)
        # The boundary: nothing may escape to TorchServe, which would end the whole batch.
        except (Exception, SystemExit) as error:
            logger.exception("request %s failed", exchange.request_id or "without id")
            if is_lost_on(self.device, error):
                self._device_lost = True
                exchange.fail(device_lost(error))
                return
            exchange.fail(refusal_of(error, self._user_code, exchange.request_id))

    def _check_device(self) -> None:
        """Refuse to begin anything on a device that is lost."""
        if self._device_lost:
            raise device_lost()

    def _deliver(self, exchange: Exchange, answer: Answer) -> None:
        check_answer_size(answer.body, self._max_response)
        exchange.answer = answer

    def _warm_up(self) -> dict[Path, float]:
        """Answer the archive's examples once: first calls compile, allocate and tune.

        Returns:
            The seconds that each took.
        """
        took = {}
        for path in sorted(self.model_dir.glob("example.*")):
            start, exchange = time.monotonic(), self._example(path)
            self.answer([exchange])
            self._check_example(path.name, exchange)
            took[path] = time.monotonic() - start
        if serves_torchserve():  # elsewhere the process is not the worker's alone
            spare_loaded()
        return took

    def _example(self, path: Path) -> Exchange:
        return Exchange({"body": path.read_bytes()}, self.example_headers, f"warm-up {path.name}")

    def _check_example(self, name: str, exchange: Exchange) -> None:
        if exchange.answer is None or exchange.answer.status != 200:
            raise LoadError(f"the model's own example {name} was answered with {exchange.outcome}")


def _reply(exchange: Exchange, index: int, context: Context) -> bytes:
    """Give TorchServe one answer's status and headers; return its body."""
    answer = exchange.answer
    if answer is None:
        raise AssertionError("every exchange has an answer")
    headers = {key.lower(): value for key, value in exchange.answer_headers.items()}
    headers["content-type"] = answer.content_type
    headers["server-timing"] = exchange.watch.server_timing()
    headers |= identity(context)
    if answer.status == 503:
        headers.setdefault("retry-after", "3")
    context.set_response_status(code=answer.status, phrase=answer.phrase, idx=index)
    for key, value in headers.items():
        context.set_response_header(index, header_text(key), header_text(value))
    return answer.body
