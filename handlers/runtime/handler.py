"""The one way every request takes through a worker."""

from __future__ import annotations

import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from handlers.runtime.channel import guard_log
from handlers.runtime.device import Placement, place
from handlers.runtime.endings import check_answer_size, exit_soon, refusal_of
from handlers.runtime.engine import Engine, Outcome, Output
from handlers.runtime.errors import RequestError, TooLarge, Unprocessable
from handlers.runtime.exchange import Answer, Context, Exchange, identity
from handlers.runtime.media import JPEG, JSON, NPY, PNG
from handlers.runtime.metrics import StageMetrics, WorkerMemory
from handlers.runtime.pace import Pace, held_pixels
from handlers.runtime.parameters import Parameter
from handlers.runtime.request import Interface, Request, Row, parse_request
from handlers.runtime.result import Result
from handlers.runtime.settings import (
    Settings,
    explain_seconds,
    max_response_size,
    response_timeout,
    take_bodies_as_bytes,
    threads_per_worker,
)
from handlers.runtime.stopwatch import Stopwatch

__all__ = ["Answer", "Context", "Exchange", "LoadError", "VisionHandler"]

logger = logging.getLogger(__name__)


class LoadError(ValueError):
    """The model cannot be served: it failed on its own example."""


class VisionHandler(ABC):
    """Base of every model's handler; TorchServe calls ``initialize`` once and ``handle`` often.

    A model fills in ``load``, ``preprocess`` and ``postprocess`` (and ``explain`` where it has
    an explanation), and declares ``consumes``, ``produces`` and ``parameters``.

    Attributes:
        consumes: media types of a raw body; JSON and multipart wrap them always.
        produces: media types of an answer, the default first.
        parameters: the parameters a request may carry.
        explain_produces, explain_parameters: the same for explanations; these parameters come
            in addition, and take the place of others of the same name.
        unexplained: why this model has no explanations, where it has none.
        layout: memory layout of the network; one that already has it is not copied.
        example_headers: request headers that the archive's own example needs.

    What ``load`` finds on ``self``:
        weights: path of the archive's weight file, its "serialized file".
        model_dir: the folder that the archive is unpacked into.
        settings: the ``marquee:`` section of model-config.yaml.
        placement: device and number format.

    And all after it:
        network: what ``load`` returned, on its device.
        refused_examples: what was said, at the warm-up, to examples that it cannot process.
    """

    consumes: tuple[str, ...] = ("image/*", NPY)
    produces: tuple[str, ...] = (JSON,)
    parameters: tuple[Parameter, ...] = ()
    explain_produces: tuple[str, ...] = (PNG, JPEG, JSON, NPY)
    explain_parameters: tuple[Parameter, ...] = ()
    unexplained: str = "this model has no explanations"
    layout: torch.memory_format = torch.channels_last
    example_headers: Mapping[str, str] = MappingProxyType({})

    weights: Path
    model_dir: Path
    settings: Settings
    placement: Placement
    network: nn.Module
    refused_examples: tuple[str, ...] = ()

    # What a model's author writes

    @abstractmethod
    def load(self) -> nn.Module:
        """Return the network with its weights, on the CPU."""

    @abstractmethod
    def preprocess(self, request: Request) -> Tensor:
        """Return (C, H, W), or (N, C, H, W) for a request of several items."""

    def forward(self, batch: Tensor) -> Output:
        """Return the network's output for a batch (N, C, H, W), first dimension N."""
        return self.network(batch)

    @abstractmethod
    def postprocess(self, output: Output, request: Request) -> Result:
        """Turn one request's output (float32, on the CPU) into its result."""

    def explain(self, request: Request) -> Result:
        """Say what in the input led to the answer; see ``handlers.runtime.explain``."""
        raise Unprocessable(self.unexplained)

    # What TorchServe calls

    def initialize(self, context: Context) -> None:
        """Load the model, then answer its own example, so that the first request is fast.

        Raises:
            LoadError: the example was not answered with 200.
            SettingsError, WeightsError: what is wrong with the configuration or the weights.
        """
        take_bodies_as_bytes()
        guard_log()
        properties = context.system_properties
        config = context.model_yaml_config
        self.model_dir = Path(properties["model_dir"])
        self.weights = self.model_dir / _serialized_file(context.manifest)
        self.settings = Settings.from_yaml(config)
        torch.set_num_threads(threads_per_worker(self.settings, config))
        self.placement = place(properties.get("gpu_id"), self.settings.precision, self.layout)
        self.network = self.placement.network(self.load())
        self._interface = Interface(
            self.consumes,
            self.produces,
            self.parameters,
            self.settings.max_pixels,
            self.settings.max_items,
        )
        self._explain_interface = self._interface.extended(
            self.explain_produces, self.explain_parameters
        )
        self._timeout = response_timeout(config)
        self._explain_seconds = explain_seconds(self.settings, config)
        batch_size = int(properties.get("batch_size") or 1)
        self._engine = Engine(self.forward, self.placement, self.settings.max_batch or batch_size)
        self._max_response = max_response_size()
        self._metrics = StageMetrics(context.metrics, context.model_name)
        self._memory = WorkerMemory(context.metrics, context.model_name, context.manifest)
        self._warm_up()

    def handle(self, rows: list[Row], context: Context) -> list[bytes]:
        """Answer each row of a batch: same order, one status, content type and body for each."""
        exchanges = [
            Exchange(row, context.get_all_request_header(i), context.get_request_id(i) or "")
            for i, row in enumerate(rows)
        ]
        self.answer(exchanges)
        bodies = [self._reply(exchange, i, context) for i, exchange in enumerate(exchanges)]
        self._metrics.report([e.watch for e in exchanges], exchanges[0].request_id)
        self._memory.report(exchanges[0].request_id)
        if self._engine.poisoned:
            exit_soon()
        return bodies

    # The request's way

    def answer(self, exchanges: list[Exchange]) -> None:
        """Give every exchange its answer; raises nothing. Predictions come before explanations."""
        pace = Pace(self._timeout, self._explain_seconds, self.settings.max_batch_pixels)
        waiting: list[Exchange] = []
        for exchange in (exchange for exchange in exchanges if not exchange.asks_why):
            with self._guarded(exchange):
                pace.check()
                self._begin(exchange)
            waiting += [exchange] if exchange.items is not None else []
            if sum(map(held_pixels, waiting)) >= pace.max_pixels:
                self._complete(waiting)
                waiting = []
        self._complete(waiting)
        explained = [exchange for exchange in exchanges if exchange.asks_why]
        seconds = pace.explanation(len(explained)) if explained else 0.0
        for exchange in explained:
            exchange.seconds = seconds
            with self._guarded(exchange):
                self._explain(exchange)

    def _complete(self, waiting: list[Exchange]) -> None:
        """Run what waits as a batch, write the answers, and let go of all that is large."""
        if not waiting:
            return
        for exchange, output in zip(waiting, self._run(waiting), strict=True):
            with self._guarded(exchange):
                if isinstance(output, RequestError):
                    raise output
                self._finish(exchange, output)
            exchange.items = exchange.request = None

    @contextmanager
    def _guarded(self, exchange: Exchange) -> Iterator[None]:
        """Turn whatever the ``with`` block raises into this exchange's own answer."""
        try:
            yield
        except RequestError as error:
            exchange.fail(error)
        except Exception as error:  # the boundary: nothing may escape to TorchServe
            logger.exception("request %s failed", exchange.request_id)
            self._engine.poisoned |= isinstance(error, torch.AcceleratorError)
            exchange.fail(refusal_of(error, exchange.request_id))

    def _begin(self, exchange: Exchange) -> None:
        """Read the request, and either answer it at once or leave its items for the batch."""
        if exchange.asks_description:
            exchange.answer = Answer(Result(json=self.describe()).encode(JSON), JSON)
            return
        request = parse_request(exchange.row, exchange.headers, self._interface, exchange.watch)
        exchange.request = request
        with exchange.watch.stage("preprocess"):
            items = self.preprocess(request)
        if items.dim() == 4 and len(items) > self.settings.max_items:
            raise TooLarge(
                f"the request holds {len(items)} inputs, at most {self.settings.max_items} are "
                "taken; send fewer at a time"
            )
        exchange.items = items

    def _explain(self, exchange: Exchange) -> None:
        if not self._explains:
            raise Unprocessable(self.unexplained)
        request = replace(
            parse_request(exchange.row, exchange.headers, self._explain_interface, exchange.watch),
            deadline=time.monotonic() + exchange.seconds,
        )
        with exchange.watch.stage("model"):
            result = self.explain(request)
        self._encode(exchange, request, result)

    @property
    def _explains(self) -> bool:
        return type(self).explain is not VisionHandler.explain

    def _run(self, waiting: list[Exchange]) -> list[Outcome]:
        """Run the batch; its time counts for each of its requests, as each waited for it."""
        shared = Stopwatch()
        with shared.stage("model"):
            outputs = self._engine.run([e.items for e in waiting if e.items is not None])
        for exchange in waiting:
            exchange.watch.seconds["model"] = shared.seconds["model"]
        return outputs

    def _finish(self, exchange: Exchange, output: Output) -> None:
        if exchange.request is None:
            raise AssertionError("an exchange with output has a request")
        with exchange.watch.stage("postprocess"):
            result = self.postprocess(output, exchange.request)
        self._encode(exchange, exchange.request, result)

    def _encode(self, exchange: Exchange, request: Request, result: Result) -> None:
        with exchange.watch.stage("encode"):
            body = result.encode(request.accept)
        check_answer_size(body, self._max_response)
        exchange.answer = Answer(body, request.accept)

    def _reply(self, exchange: Exchange, index: int, context: Context) -> bytes:
        answer = exchange.answer
        if answer is None:
            raise AssertionError("every exchange has an answer")
        context.set_response_status(code=answer.status, phrase=answer.phrase, idx=index)
        context.set_response_header(index, "content-type", answer.content_type)
        context.set_response_header(index, "server-timing", exchange.watch.server_timing())
        for name, value in identity(context).items():
            context.set_response_header(index, name, value)
        if answer.status == 503:
            context.set_response_header(index, "retry-after", "3")
        return answer.body

    def describe(self) -> dict[str, Any]:
        """Return what this model takes and gives, its parameters as a JSON Schema."""
        return {
            "consumes": list(self.consumes),
            **self._interface.offer(),
            "explanations": self._explain_interface.offer() if self._explains else None,
            "limits": {
                "max_pixels": self.settings.max_pixels,
                "max_items": self.settings.max_items,
                "max_response_size": self._max_response,
            },
            "device": str(self.placement.device),
            "precision": self.settings.precision,
        }

    def _warm_up(self) -> None:
        """Answer the archive's example once: first calls compile, allocate and tune."""
        for example in sorted(self.model_dir.glob("example.*")):
            exchange = Exchange(
                {"body": example.read_bytes()},
                self.example_headers,
                request_id=f"warm-up {example.name}",
            )
            self.answer([exchange])
            answer = exchange.answer
            if answer is None or answer.status not in (200, 422):
                said = exchange.told()
                raise LoadError(f"the model's own example {example.name} was answered with {said}")
            if answer.status == 422:
                # It works and says no: another's weights need not like our sample.
                said = json.loads(answer.body)["message"]
                logger.warning("the example %s was refused: %s", example.name, said)
                self.refused_examples += (f"{example.name}: {said}",)


def _serialized_file(manifest: Mapping[str, Any] | None) -> str:
    return str(((manifest or {}).get("model") or {}).get("serializedFile") or "")
