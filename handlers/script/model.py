"""A script with its model: the functions in their order, the script's or the default ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handlers.runtime.handler import Answer
from handlers.script.context import ScriptContext
from handlers.script.defaults import Defaults
from handlers.script.options import Options
from handlers.script.script import Function, Functions
from handlers.script.stack import Outcome, Stacker
from handlers.script.turn import Turn, response


class ScriptModel:
    """What a worker runs: ``transform_fn``, or input, predict and output function in turn."""

    def __init__(
        self, functions: Functions, defaults: Defaults, context: ScriptContext, accept: str
    ) -> None:
        self._functions = functions
        self._context = context
        self._accept = accept
        self._transform = functions.get("transform_fn")
        self._input = functions.get("input_fn") or Function(defaults.input_fn)
        self._predict = functions.get("predict_fn") or Function(defaults.predict_fn)
        self._output = functions.get("output_fn") or Function(defaults.output_fn)
        self._load = functions.get("model_fn") or Function(defaults.model_fn)
        self._model: Any = None

    def load(self, folder: Path) -> None:
        """Run ``pre_model_fn``, ``model_fn`` and ``model_warmup_fn``, those that there are."""
        model_dir = str(folder)
        before, after = (self._functions.get(f"{n}_fn") for n in ("pre_model", "model_warmup"))
        if before is not None:
            before(self._context, model_dir)
        self._model = self._load(self._context, model_dir)
        if after is not None:
            after(self._context, model_dir, self._model)

    def stackable(self, options: Options) -> bool:
        """Tell whether several requests may be predicted in one call.

        By default only where no code of the script runs before the prediction: an ``input_fn``
        may leave things in global variables for the ``output_fn`` of the same request, and what
        a ``predict_fn`` does with its first dimension is its own affair.
        """
        if self._transform is not None or self._predict.takes_context or options.stack == "never":
            return False
        own = {"input_fn", "predict_fn"} & self._functions.keys()
        return options.stack == "always" or not own

    def stacker(self, max_rows: int) -> Stacker:
        """Return what predicts several requests' inputs."""
        return Stacker(lambda data: self._predict(self._context, data, self._model), max_rows)

    # One request

    def answer(self, turn: Turn) -> Answer:
        """Take one request through all functions."""
        if self._transform is not None:
            return self._transformed(turn, self._transform)
        self.read(turn)
        with self._at(turn, "model"):
            turn.outcome = self._predict(self._context, turn.data, self._model)
        return self.write(turn)

    def read(self, turn: Turn) -> None:
        """Run ``input_fn``."""
        with turn.exchange.watch.stage("decode"):
            body = turn.body()
        with self._at(turn, "preprocess"):
            turn.data = self._input(self._context, body, turn.content_type)

    def write(self, turn: Turn) -> Answer:
        """Run ``output_fn`` on the outcome, or raise what was raised in its place."""
        outcome: Outcome = turn.outcome
        turn.data = turn.outcome = None
        if isinstance(outcome, BaseException):
            raise outcome
        turn.answering = True
        accept = turn.accept(self._accept)
        with self._at(turn, "postprocess"):
            result = self._output(self._context, outcome, accept)
        return self._encoded(turn, result, accept)

    def _transformed(self, turn: Turn, transform: Function) -> Answer:
        accept = turn.accept(self._accept)
        with turn.exchange.watch.stage("decode"):
            body = turn.body()
        with self._at(turn, "model"):
            result = transform(self._context, self._model, body, turn.content_type, accept)
        return self._encoded(turn, result, accept)

    def _encoded(self, turn: Turn, result: Any, accept: str) -> Answer:
        with turn.exchange.watch.stage("encode"):
            return response(result, turn, accept, self._accept)

    @contextmanager
    def _at(self, turn: Turn, stage: str) -> Iterator[None]:
        """Show the script this request, and count its time."""
        with self._context.showing(turn), turn.exchange.watch.stage(stage):
            yield
