"""A script with its model: the functions in their order, the script's or the default ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handlers.runtime.exchange import Answer
from handlers.runtime.outcome import Outcome
from handlers.script.context import ScriptContext
from handlers.script.defaults import Defaults
from handlers.script.invocation import Invocation, response
from handlers.script.options import ScriptOptions
from handlers.script.script import Function, Functions
from handlers.script.stack import Stacker


class ScriptModel:
    """What a worker runs: ``transform_fn``, or input, predict and output function."""

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

    def stackable(self, options: ScriptOptions) -> bool:
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

    def answer(self, invocation: Invocation) -> Answer:
        """Take one request through all functions."""
        if self._transform is not None:
            return self._transformed(invocation, self._transform)
        self.read(invocation)
        with self._at(invocation, "model"):
            prediction = self._predict(self._context, invocation.data, self._model)
        invocation.outcome = Outcome(prediction)
        return self.write(invocation)

    def read(self, invocation: Invocation) -> None:
        """Run ``input_fn``."""
        with invocation.exchange.watch.stage("decode"):
            body = invocation.body()
        with self._at(invocation, "preprocess"):
            invocation.data = self._input(self._context, body, invocation.content_type)

    def write(self, invocation: Invocation) -> Answer:
        """Run ``output_fn`` on the outcome, or raise what was raised in its place."""
        prediction = invocation.outcome.get()
        invocation.data, invocation.outcome, invocation.answering = None, Outcome(), True
        accept = invocation.accept(self._accept)
        with self._at(invocation, "postprocess"):
            result = self._output(self._context, prediction, accept)
        return self._encoded(invocation, result, accept)

    def _transformed(self, invocation: Invocation, transform: Function) -> Answer:
        accept = invocation.accept(self._accept)
        with invocation.exchange.watch.stage("decode"):
            body = invocation.body()
        with self._at(invocation, "model"):
            result = transform(self._context, self._model, body, invocation.content_type, accept)
        return self._encoded(invocation, result, accept)

    def _encoded(self, invocation: Invocation, result: Any, accept: str) -> Answer:
        with invocation.exchange.watch.stage("encode"):
            return response(result, invocation, accept, self._accept)

    @contextmanager
    def _at(self, invocation: Invocation, stage: str) -> Iterator[None]:
        """Show the script this request, and count its time."""
        with self._context.showing(invocation), invocation.exchange.watch.stage(stage):
            yield
