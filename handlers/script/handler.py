"""Any SageMaker script (``inference.py``) as a TorchServe handler, unchanged."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from handlers.runtime.channel import enable_log
from handlers.runtime.device import place
from handlers.runtime.endings import check_answer_size, exit_soon
from handlers.runtime.errors import (
    InsufficientMemory,
    InternalError,
    RequestError,
    Unavailable,
    Unprocessable,
)
from handlers.runtime.handler import Answer, Context, Exchange, LoadError
from handlers.runtime.media import JSON
from handlers.runtime.memory import is_out_of_memory
from handlers.runtime.metrics import StageMetrics, WorkerMemory
from handlers.runtime.request import Row
from handlers.runtime.settings import (
    Settings,
    max_response_size,
    take_bodies_as_bytes,
    threads_per_worker,
)
from handlers.runtime.stopwatch import Stopwatch
from handlers.script import codec
from handlers.script.context import ScriptContext
from handlers.script.defaults import Defaults
from handlers.script.model import ScriptModel
from handlers.script.options import read_options
from handlers.script.output import capture_output
from handlers.script.script import load_script
from handlers.script.toolkit import harden_decoder, refusal
from handlers.script.turn import Turn, described, example_exchange

logger = logging.getLogger(__name__)

# Where an archive has the model folder, so that nothing of ours lies in it.
FOLDER = "sagemaker"
ACCEPT_VARIABLE = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"
# The bytes a pixel of the largest allowed picture takes, as float32.
BYTES_PER_PIXEL = 4
DEFAULT_MAX_ROWS = 64
LOST = "the device failed and this worker is being replaced; send it again"


class ScriptHandler:
    """Answers requests with the functions of a SageMaker script, each request on its own.

    The script's model folder is the archive's ``sagemaker`` folder, or the archive itself.
    """

    # What TorchServe calls

    def initialize(self, context: Context) -> None:
        """Import the script, load its model, and answer the archive's example if it has one.

        Raises:
            ScriptError, WeightsError, SettingsError: what is wrong with the folder.
            LoadError: the example was not answered with 200.
        """
        take_bodies_as_bytes()
        properties, config = context.system_properties, context.model_yaml_config
        self.settings = Settings.from_yaml(config)
        options = read_options(self.settings)
        self.example_headers = options.example_headers
        torch.set_num_threads(threads_per_worker(self.settings, config))
        self._device = place(properties.get("gpu_id"), self.settings.precision).device
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)  # a script's plain "cuda" means this worker's
        archive = Path(properties["model_dir"]).resolve()
        folder = archive / FOLDER if (archive / FOLDER).is_dir() else archive
        max_bytes = self.settings.max_pixels * BYTES_PER_PIXEL
        capture_output()
        os.chdir(folder)  # as in SageMaker: a script may open its files by relative names
        harden_decoder(max_bytes)
        functions = load_script(folder, options.program)
        self._context = ScriptContext(context, folder)
        accept = os.environ.get(ACCEPT_VARIABLE) or JSON
        defaults = Defaults(self._device, max_bytes)
        self._model = ScriptModel(functions, defaults, self._context, accept)
        self._model.load(folder)
        enable_log()  # the script may have set up logging of its own
        self._functions = sorted(functions)
        self._stackable = self._model.stackable(options)
        self._stacker = self._model.stacker(self.settings.max_batch or DEFAULT_MAX_ROWS)
        self._max_response = max_response_size()
        self._metrics = StageMetrics(context.metrics, context.model_name)
        self._memory = WorkerMemory(context.metrics, context.model_name, context.manifest)
        self._lost = False
        if folder != archive:
            self._warm_up(archive)

    def handle(self, rows: list[Row], context: Context) -> list[bytes]:
        """Answer each row of a batch: same order, one status, content type and body for each."""
        turns = [
            Turn(Exchange(row, context.get_all_request_header(i), context.get_request_id(i) or ""))
            for i, row in enumerate(rows)
        ]
        self.answer(turns)
        bodies = [turn.reply(i, context) for i, turn in enumerate(turns)]
        self._metrics.report([turn.exchange.watch for turn in turns], turns[0].exchange.request_id)
        self._memory.report(turns[0].exchange.request_id)
        if self._lost:
            exit_soon()
        return bodies

    # A request's way

    def answer(self, turns: list[Turn]) -> None:
        """Give every turn its answer; raises nothing."""
        waiting = [turn for turn in turns if not self._answered_at_once(turn)]
        if self._stackable and len(waiting) > 1:
            self._answer_together(waiting)
            return
        for turn in waiting:
            with self._guarded(turn):
                self._deliver(turn, self._model.answer(turn))

    def _answered_at_once(self, turn: Turn) -> bool:
        """Answer what is no prediction: TorchServe asks for a description, or explanations."""
        exchange = turn.exchange
        if exchange.asks_description:
            exchange.answer = described(self.describe())
        elif exchange.asks_why:
            exchange.fail(Unprocessable("a SageMaker script has no explanations; ask /predictions"))
        return exchange.answer is not None

    def _answer_together(self, turns: list[Turn]) -> None:
        """Read all requests, predict them in as few calls as possible, write all answers."""
        for turn in turns:
            with self._guarded(turn):
                self._model.read(turn)
        waiting = [turn for turn in turns if turn.exchange.answer is None]
        shared = Stopwatch()
        with shared.stage("model"):
            outcomes = self._predicted([turn.data for turn in waiting])
        for turn, outcome in zip(waiting, outcomes, strict=True):
            turn.outcome = outcome
            turn.exchange.watch.seconds["model"] = shared.seconds["model"]
            with self._guarded(turn):
                self._deliver(turn, self._model.write(turn))

    def _predicted(self, inputs: list[Any]) -> list[Any]:
        try:
            return self._stacker.run(inputs)
        except torch.AcceleratorError as error:
            return [error] * len(inputs)

    def _deliver(self, turn: Turn, answer: Answer) -> None:
        check_answer_size(answer.body, self._max_response)
        turn.exchange.answer = answer

    @contextmanager
    def _guarded(self, turn: Turn) -> Iterator[None]:
        """Turn whatever the ``with`` block raises into this request's own answer."""
        try:
            self._check_device()
            yield
        except RequestError as error:
            turn.exchange.fail(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a script may raise anything
            turn.exchange.fail(self._explained(error, turn))

    def _check_device(self) -> None:
        if self._lost:
            raise Unavailable(LOST)

    def _explained(self, error: BaseException, turn: Turn) -> RequestError:
        """Log what a script raised, and say what of it is the client's to know."""
        request = turn.exchange.request_id or "without id"
        meant = refusal(error, answering=turn.answering)
        if meant is not None:
            logger.info("request %s: the script said %d: %s", request, meant.status, meant.message)
            return meant
        logger.error("request %s failed", request, exc_info=error)
        if isinstance(error, torch.AcceleratorError):
            self._lost = True
            return Unavailable(LOST)
        if is_out_of_memory(error):
            return InsufficientMemory("not enough memory for this input; send less")
        return InternalError(
            f"the model's script failed on this request; the server's log has the details under "
            f"request {request}",
            cause=error,
        )

    def describe(self) -> dict[str, Any]:
        """Return what is known of the script."""
        return {
            "script": self._functions,
            "stacked": self._stackable,
            "consumes": list(codec.READABLE) if "input_fn" not in self._functions else ["*/*"],
            "device": str(self._device),
            "limits": {"max_response_size": self._max_response},
        }

    def _warm_up(self, archive: Path) -> None:
        for example in sorted(archive.glob("example.*")):
            turn = Turn(example_exchange(example, self.example_headers))
            self.answer([turn])
            answer = turn.exchange.answer
            if answer is None or answer.status != 200:
                said = turn.exchange.told()
                raise LoadError(f"the model's own example {example.name} was answered with {said}")
