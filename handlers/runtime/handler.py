"""The one way every request takes through a model: read, preprocess, run, postprocess, encode."""

from __future__ import annotations

import json
import logging
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from handlers.runtime import kserve
from handlers.runtime.ahead import Ahead
from handlers.runtime.answers import Schema
from handlers.runtime.attribution import EXPLANATION
from handlers.runtime.channel import serves_torchserve
from handlers.runtime.device import Placement, place
from handlers.runtime.engine import Engine, Output
from handlers.runtime.errors import TooLarge, Unprocessable
from handlers.runtime.exchange import Answer, Context, Exchange
from handlers.runtime.media import JPEG, JSON, NPY, PNG
from handlers.runtime.outcome import Outcome
from handlers.runtime.pace import Pace, held_pixels
from handlers.runtime.parameters import Parameter
from handlers.runtime.request import Interface, Request, parse_request
from handlers.runtime.result import Result
from handlers.runtime.settings import explain_seconds
from handlers.runtime.stopwatch import shared_stage
from handlers.runtime.threads import choose_threads
from handlers.runtime.torchserve import response_timeout
from handlers.runtime.worker import Worker

logger = logging.getLogger(__name__)

Shows: TypeAlias = Literal["classes", "image", "detections", "mask", "ages"]
# An example that takes longer at its first call is not worth another one.
COLD_SECONDS = 3.0


class VisionHandler(Worker):
    """Base of every model's handler.

    A model fills in ``load``, ``preprocess`` and ``postprocess`` (and ``explain`` where it has
    an explanation), and declares ``consumes``, ``produces`` and ``parameters``.

    Attributes:
        consumes: media types of a raw body; JSON and multipart wrap them always.
        produces: media types of an answer, the default first.
        parameters: the parameters a request may carry.
        answers: the JSON Schema of an answer in JSON, see ``handlers.runtime.answers``; None
            leaves it open.
        shows: how people want to see the answer, where pages are made for them: ``classes``,
            ``image``, ``detections``, ``mask`` or ``ages``; docs/new-model.md says what each needs.
        explain_produces, explain_parameters, explain_answers: the same for explanations; these
            parameters come in addition, and take the place of others of the same name.
        unexplained: why this model has no explanations, where it has none.
        layout: memory layout of the network; one that already has it is not copied.
        reuses_memory: true where layers of many megabytes follow each other; see ``Worker``.
        example_headers: request headers that the archive's own example needs.
        preprocess_in_threads: whether ``preprocess`` may run for several requests of a batch at
            once. Pictures are then decoded side by side; it must not keep anything on ``self``.

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
    answers: Schema | None = None
    shows: Shows | None = None
    explain_produces: tuple[str, ...] = (PNG, JPEG, JSON, NPY)
    explain_parameters: tuple[Parameter, ...] = ()
    explain_answers: Schema | None = EXPLANATION
    layout: torch.memory_format = torch.channels_last
    preprocess_in_threads: bool = False

    weights: Path
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
            DeviceError: the GPU that TorchServe assigned cannot be used.
            SettingsError, WeightsError: what is wrong with the configuration or the weights.
        """
        self._configure(context)
        properties, config = context.system_properties, context.model_yaml_config
        gpu_id, settings = properties.get("gpu_id"), self.settings
        self.placement = place(gpu_id, settings.precision, self.layout, settings.device)
        self.device = self.placement.device
        self.weights = self.model_dir / _serialized_file(context.manifest)
        self.network = self.placement.network(self.load())
        self._interface = Interface(
            self.consumes,
            self.produces,
            self.parameters,
            self.settings.max_pixels,
            self.settings.max_items,
            self.answers,
        )
        self._explain_interface = self._interface.extended(
            self.explain_produces, self.explain_parameters, self.explain_answers
        )
        self._pace = Pace(
            response_timeout(config),
            explain_seconds(self.settings, config),
            self.settings.max_batch_pixels,
        )
        threads = self.threads if self.preprocess_in_threads else 1
        self._ahead = Ahead(threads, self.settings.max_pixels)
        batch_size = int(properties.get("batch_size") or 1)
        self._engine = Engine(self.forward, self.placement, self.settings.max_batch or batch_size)
        for path, seconds in islice(self._warm_up().items(), 1):
            # Elsewhere, as where archives are made, a second more is worth more than threads.
            if serves_torchserve() and self.placement.device.type == "cpu":
                self._choose_threads(path, seconds)

    def _choose_threads(self, example: Path, took: float) -> None:
        """Find out how many threads the network is worth, by an example that ``took`` seconds."""
        if self.settings.threads:
            return

        def answer() -> float:
            exchange = self._example(example)
            self.answer([exchange])
            return exchange.watch.seconds["model"]

        if took < COLD_SECONDS:  # that was the first call, much slower than those to come
            start = time.monotonic()
            if not answer():
                return  # the example is refused
            took = time.monotonic() - start
        choose_threads(answer, self.threads, took)

    # The request's way

    def _answer_predictions(self, exchanges: list[Exchange]) -> None:
        waiting: list[Exchange] = []
        pixels = 0
        for exchange in self._ahead.begun(exchanges, self._begin):
            if exchange.items is not None:
                waiting.append(exchange)
                pixels += held_pixels(exchange)
            if pixels >= self._pace.max_pixels:
                self._complete(waiting)
                waiting, pixels = [], 0
        self._complete(waiting)

    def _complete(self, waiting: list[Exchange]) -> None:
        """Run what waits as a batch, write the answers, and let go of all that is large."""
        if not waiting:
            return
        for exchange, outcome in zip(waiting, self._run(waiting), strict=True):
            with self._guarded(exchange):
                self._finish(exchange, outcome.get())
            exchange.items = exchange.request = None
        # Only now: what was computed before the device failed is an answer.
        self._device_lost |= self._engine.poisoned

    def _begin(self, exchange: Exchange) -> None:
        """Read the request, and leave its items for the batch; raises nothing."""
        with self._guarded(exchange):
            self._check_device()
            self._pace.check(exchange)
            self._read(exchange)

    def _read(self, exchange: Exchange) -> None:
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

    def _answer_explanations(self, exchanges: list[Exchange]) -> None:
        if not exchanges or not self._explains:
            super()._answer_explanations(exchanges)
            return
        seconds = self._pace.explanation(exchanges)
        for exchange in exchanges:
            exchange.seconds = seconds
            with self._guarded(exchange):
                self._explain(exchange)

    def _explain(self, exchange: Exchange) -> None:
        self._check_device()
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
        with shared_stage("model", [exchange.watch for exchange in waiting]):
            return self._engine.run([e.items for e in waiting if e.items is not None])

    def _finish(self, exchange: Exchange, output: Output) -> None:
        if exchange.request is None:
            raise AssertionError("an exchange with output has a request")
        with exchange.watch.stage("postprocess"):
            result = self.postprocess(output, exchange.request)
        self._encode(exchange, exchange.request, result)

    def _encode(self, exchange: Exchange, request: Request, result: Result) -> None:
        with exchange.watch.stage("encode"):
            if not self._tensors and not exchange.asks_explanation:  # the example, at load
                self._tensors = kserve.described(kserve.outputs(result, request.accept))
            answer = self._in_form(exchange, request, result)
        self._deliver(exchange, answer)

    def _in_form(self, exchange: Exchange, request: Request, result: Result) -> Answer:
        """Return the answer in the model's own form, or in that of KServe's protocols."""
        wanted = request.wanted
        if not wanted.protocol:
            return Answer(result.encode(request.accept), request.accept)
        wanted = replace(wanted, id=wanted.id or exchange.request_id)
        key = kserve.EXPLANATIONS if exchange.asks_explanation else kserve.PREDICTIONS
        return Answer(kserve.encode(wanted, result, request.accept, self._who, key), JSON)

    def describe(self) -> dict[str, Any]:
        """Return what this model takes and gives, its parameters as a JSON Schema."""
        return {
            "consumes": list(self.consumes),
            **self._interface.offer(),
            "explanations": self._explain_interface.offer() if self._explains else None,
            "shows": self.shows,
            "limits": {
                "max_pixels": self.settings.max_pixels,
                "max_items": self.settings.max_items,
                "max_response_size": self._max_response,
            },
            "device": str(self.placement.device),
            "precision": self.settings.precision,
        }

    def _check_example(self, name: str, exchange: Exchange) -> None:
        answer = exchange.answer
        if answer is None or answer.status != Unprocessable.status:
            super()._check_example(name, exchange)
            return
        # It works and says no: another's weights need not like our sample.
        refusal = json.loads(answer.body)["message"]
        logger.warning("the example %s was refused: %s", name, refusal)
        self.refused_examples += (f"{name}: {refusal}",)


def _serialized_file(manifest: Mapping[str, Any] | None) -> str:
    return str(((manifest or {}).get("model") or {}).get("serializedFile") or "")
