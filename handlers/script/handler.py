"""Any SageMaker script (``inference.py``) as a TorchServe handler, unchanged."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handlers.runtime.channel import enable_log
from handlers.runtime.device import place
from handlers.runtime.exchange import Answer, Context, Exchange
from handlers.runtime.lostdevice import is_lost
from handlers.runtime.media import JSON
from handlers.runtime.outcome import Outcome
from handlers.runtime.stopwatch import shared_stage
from handlers.runtime.worker import Worker
from handlers.script import codec
from handlers.script.context import ScriptContext
from handlers.script.defaults import Defaults
from handlers.script.invocation import Invocation, example_exchange
from handlers.script.model import ScriptModel
from handlers.script.options import read_options
from handlers.script.output import capture_output
from handlers.script.script import load_script
from handlers.script.toolkit import harden_decoder, refusal

logger = logging.getLogger(__name__)

# Where an archive has the model folder, so that nothing of ours lies in it.
FOLDER = "sagemaker"
ACCEPT_VARIABLE = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"
# The bytes a pixel of the largest allowed picture takes, as float32.
BYTES_PER_PIXEL = 4
DEFAULT_MAX_ROWS = 64


class ScriptHandler(Worker):
    """Answers requests with the functions of a SageMaker script, each request on its own.

    The script's model folder is the archive's ``sagemaker`` folder, or the archive itself.
    """

    _user_code = "the model's script"
    unexplained = "a SageMaker script has no explanations; ask /predictions"

    # What TorchServe calls

    def initialize(self, context: Context) -> None:
        """Import the script, load its model, and answer the archive's example if it has one.

        Raises:
            ScriptError, WeightsError, SettingsError: what is wrong with the folder.
            DeviceError: the GPU that TorchServe assigned cannot be used.
            LoadError: the example was not answered with 200.
        """
        self._configure(context)
        options = read_options(self.settings)
        self.example_headers = options.example_headers
        gpu_id = context.system_properties.get("gpu_id")
        self.device = place(gpu_id, self.settings.precision, wanted=self.settings.device).device
        self.model_dir = self.model_dir.resolve()
        inner = self.model_dir / FOLDER
        folder = inner if inner.is_dir() else self.model_dir
        max_bytes = self.settings.max_pixels * BYTES_PER_PIXEL
        capture_output()
        os.chdir(folder)  # as in SageMaker: a script may open its files by relative names
        harden_decoder(max_bytes)
        functions = load_script(folder, options.program)
        self._context = ScriptContext(context, folder)
        accept = os.environ.get(ACCEPT_VARIABLE) or JSON
        defaults = Defaults(self.device, max_bytes)
        self._model = ScriptModel(functions, defaults, self._context, accept)
        self._model.load(folder)
        enable_log()  # the script may have set up logging of its own
        self._functions = sorted(functions)
        self._stackable = self._model.stackable(options)
        self._stacker = self._model.stacker(self.settings.max_batch or DEFAULT_MAX_ROWS)
        if folder == inner:
            self._warm_up()

    # A request's way

    def _answer_predictions(self, exchanges: list[Exchange]) -> None:
        invocations = [Invocation(exchange) for exchange in exchanges]
        if self._stackable and len(invocations) > 1:
            self._predict_together(invocations)
            return
        for invocation in invocations:
            self._invoke(self._model.answer, invocation)

    def _predict_together(self, invocations: list[Invocation]) -> None:
        """Read all requests, predict them in as few calls as possible, write all answers."""
        for invocation in invocations:
            self._invoke(self._model.read, invocation)
        waiting = [one for one in invocations if one.exchange.answer is None]
        with shared_stage("model", [one.exchange.watch for one in waiting]):
            outcomes = self._outcomes([one.data for one in waiting])
        for invocation, invocation.outcome in zip(waiting, outcomes, strict=True):
            self._invoke(self._model.write, invocation)

    def _outcomes(self, inputs: list[Any]) -> list[Outcome]:
        try:
            return self._stacker.run(inputs)
        except Exception as error:
            if not is_lost(error):
                raise
            return [Outcome(error=error)] * len(inputs)

    def _invoke(self, step: Callable[[Invocation], Answer | None], invocation: Invocation) -> None:
        """Take a step of a request, and send its answer, or what the script means by its error."""
        with self._guarded(invocation.exchange):
            self._check_device()
            try:
                answer = step(invocation)
            except Exception as error:
                meant = refusal(error, answering=invocation.answering)
                if meant is None:
                    raise
                request = invocation.exchange.request_id or "without id"
                said = (meant.status, meant.message)
                logger.info("request %s: the script said %d: %s", request, *said)
                raise meant from error
            if answer is not None:
                self._deliver(invocation.exchange, answer)

    def describe(self) -> dict[str, Any]:
        """Return what is known of the script."""
        return {
            "script": self._functions,
            "stacked": self._stackable,
            "consumes": list(codec.READABLE) if "input_fn" not in self._functions else ["*/*"],
            "device": str(self.device),
            "limits": {"max_response_size": self._max_response},
        }

    def _example(self, path: Path) -> Exchange:
        return example_exchange(path, self.example_headers)
