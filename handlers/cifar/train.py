"""Train a CIFAR-10 network, here or as a SageMaker training job.

    python -m handlers.cifar.train --data-dir cifar --model-dir out --epochs 35
    python -m handlers.cifar.train --drawn 8000 --model-dir out --network lenet

Writes ``final.pth`` (the state dict that did best on held-out pictures) and
``training_log.txt`` into the model folder. SageMaker's folders come from its ``SM_*``
variables; with a checkpoint folder, a run that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import torch

from handlers.cifar.data import DataError, DataSet, draw_dataset, load_real
from handlers.cifar.trainer import (
    CheckpointError,
    Recipe,
    Step,
    Trainer,
    TrainingStopped,
    evaluate,
    write_whole,
)

log = logging.getLogger(__name__)

STOPPED = 128 + signal.SIGTERM  # the exit status of a process that SIGTERM ended
SAGEMAKER_CHECKPOINTS = Path("/opt/ml/checkpoints")
WIDTHS = {"lenet": 32, "vgg11": 64}

# The original project's options and SageMaker's that have no meaning here.
IGNORED = ("hosts", "current-host", "num-gpus", "dist-backend", "momentum", "workers")


class Splits(NamedTuple):
    """Pictures to learn from, to choose the best epoch with, and to judge the result by."""

    train: DataSet
    valid: DataSet
    test: DataSet


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the options; ``--batch_size`` is the same as ``--batch-size``."""
    parser = argparse.ArgumentParser(
        prog="train", description="Train a CIFAR-10 network.", allow_abbrev=False
    )
    _add_learning(parser)
    _add_folders(parser)
    for name in IGNORED:
        parser.add_argument(f"--{name}", help="accepted, has no effect", metavar="X")
    options = parser.parse_args([_hyphens(argument) for argument in argv])
    if options.model_dir is None:
        parser.error("where to write? give --model-dir, or set SM_MODEL_DIR")
    if options.data_dir is None and options.drawn is None:
        parser.error("no pictures: give --data-dir (or SM_CHANNEL_TRAINING), or --drawn N")
    return options


def _hyphens(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def _add_learning(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--epochs", type=_count(1), default=35)
    add("--batch-size", type=_count(2), default=100)
    add("--lr", type=_rate, default=0.001, help="first learning rate, 0.001")
    add("--network", choices=sorted(WIDTHS), default="vgg11")
    add("--width", type=_count(1), help="channels of the first convolution: lenet 32, vgg11 64")
    add("--seed", type=_count(0), default=0)
    add("--drawn", type=_count(10), metavar="N", help="draw N pictures, if no data are given")


def _add_folders(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data-dir", type=Path, default=_folder("SM_CHANNEL_TRAINING"), help="CIFAR-10's files")
    add("--model-dir", type=Path, default=_folder("SM_MODEL_DIR"))
    add("--output-data-dir", type=Path, default=_folder("SM_OUTPUT_DATA_DIR"))
    add("--checkpoint-dir", type=Path, default=_checkpoints())
    # SageMaker can pass an option only together with a value.
    add("--resume", type=_truth, nargs="?", const=True, default=True, metavar="true|false")
    add("--no-resume", dest="resume", action="store_false")


def _count(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {least} or more")
        return int(text)

    return whole


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 10:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0 and below 10")
    return rate


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _folder(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def _checkpoints() -> Path | None:
    usual = SAGEMAKER_CHECKPOINTS if SAGEMAKER_CHECKPOINTS.is_dir() else None
    return _folder("SM_CHECKPOINT_DIR") or usual


def load_data(options: argparse.Namespace) -> Splits:
    """Return CIFAR-10 from its folder, a tenth held out for validation; or drawn pictures."""
    if options.data_dir is None:
        held_out = max(100, options.drawn // 10)
        # The seeds of the three sets, and of neighbouring runs, never meet.
        counts = enumerate((options.drawn, held_out, held_out))
        return Splits(*(draw_dataset(count, 3 * options.seed + n) for n, count in counts))
    pictures, labels = load_real(options.data_dir, train=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(options.seed))
    valid, train = order.tensor_split([max(1, len(order) // 10)])
    return Splits(
        (pictures[train], labels[train]),
        (pictures[valid], labels[valid]),
        load_real(options.data_dir, train=False),
    )


@contextmanager
def sigterm() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets, in place of ending the process at once."""
    event = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        event.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Step]:
    """Yield a function to call after each step; it moves a bar on a terminal, given rich."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415 - training jobs go without it
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


def train(options: argparse.Namespace) -> None:
    """Train to the last epoch, writing the results as they come.

    Raises:
        TrainingStopped: SIGTERM came; the checkpoint is written.
        DataError, CheckpointError: what was given cannot be used.
    """
    width = options.width or WIDTHS[options.network]
    recipe = Recipe(options.network, width, options.batch_size, options.seed)
    data = load_data(options)
    trainer = Trainer(recipe, data.train, data.valid, options.lr)
    if options.checkpoint_dir and options.resume and trainer.resume(options.checkpoint_dir):
        log.info("resumed in epoch %d", trainer.progress.epoch + 1)
    with sigterm() as stop:
        while trainer.progress.epoch < options.epochs:
            _one_epoch(trainer, options, stop)
    trainer.network.load_state_dict(trainer.progress.best)
    loss, accuracy = evaluate(trainer.network, data.test)
    trainer.progress.log.append(f"Test: {loss:.3f},TAcc: {accuracy:.3f}")
    log.info(trainer.progress.log[-1])
    write_results(trainer, options)


def _one_epoch(trainer: Trainer, options: argparse.Namespace, stop: threading.Event) -> None:
    title = f"epoch {trainer.progress.epoch + 1} of {options.epochs}"
    try:
        with progress_bar(title, trainer.steps - trainer.progress.step) as advance:
            line = trainer.run_epoch(options.epochs, _stopping(stop, advance))
    except TrainingStopped:
        _save(trainer, options)
        raise
    log.info(line)
    _save(trainer, options)
    write_results(trainer, options)


def _save(trainer: Trainer, options: argparse.Namespace) -> None:
    if options.checkpoint_dir:
        trainer.save(options.checkpoint_dir)


def _stopping(stop: threading.Event, advance: Step) -> Step:
    def after_step() -> None:
        advance()
        if stop.is_set():
            raise TrainingStopped

    return after_step


def write_results(trainer: Trainer, options: argparse.Namespace) -> None:
    """Write the best state so far and the log: a job that is stopped keeps them."""
    write_whole(trainer.progress.best, options.model_dir / "final.pth")
    written = options.model_dir / "training_log.txt"
    written.write_text("\n".join(trainer.progress.log) + "\n", encoding="utf-8")
    if options.output_data_dir:
        options.output_data_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy(written, options.output_data_dir)


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the options say; return 0, 1 for unusable input, 143 when stopped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = parse(sys.argv[1:] if argv is None else argv)
    _note_ignored(options)
    try:
        train(options)
    except TrainingStopped:
        log.warning("stopped by SIGTERM; %s", _where_saved(options))
        return STOPPED
    except (DataError, CheckpointError) as error:
        log.error("%s", error)  # noqa: TRY400 - the message says it all
        return 1
    return 0


def _note_ignored(options: argparse.Namespace) -> None:
    given = [name for name in IGNORED if getattr(options, name.replace("-", "_")) is not None]
    if given:
        log.info("without effect here: --%s", ", --".join(given))
    if options.data_dir and options.drawn:
        log.info("--drawn is not used: there are data in %s", options.data_dir)


def _where_saved(options: argparse.Namespace) -> str:
    if options.checkpoint_dir:
        return f"run it again to go on from the checkpoint in {options.checkpoint_dir}"
    return "no checkpoint was kept, for lack of a --checkpoint-dir"


if __name__ == "__main__":
    sys.exit(main())
