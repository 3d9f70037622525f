"""The training loop: augment, step, validate, keep the best, save, resume.

Every random choice follows from (seed, epoch, step) alone, so a run that was interrupted
and resumed takes the very same steps as one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from handlers.cifar.data import DataSet
from handlers.cifar.model import SIZE, VGG11, LeNet, normalise

SHIFT = 3  # pixels
EVALUATION_BATCH = 500
CHECKPOINT = "checkpoint.pt"

Step = Callable[[], None]


class TrainingStopped(Exception):
    """Training was asked to stop and did so between two steps."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or belongs to another run."""


@dataclass(frozen=True)
class Recipe:
    """What makes two runs the same, but for their length and learning rate."""

    network: str
    width: int
    batch_size: int
    seed: int


@dataclass
class Tally:
    """Sums over the pictures seen so far."""

    loss: float = 0.0
    correct: int = 0
    seen: int = 0

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Count one batch; ``loss`` is its mean."""
        self.loss += float(loss) * len(labels)
        self.correct += int((logits.argmax(1) == labels).sum())
        self.seen += len(labels)

    def means(self) -> tuple[float, float]:
        """Return mean loss and accuracy; zeros before the first batch."""
        return self.loss / max(1, self.seen), self.correct / max(1, self.seen)


@dataclass
class Progress:
    """How far a run has come; all of it goes into the checkpoint."""

    epoch: int = 0
    step: int = 0
    tally: Tally = field(default_factory=Tally)
    best_accuracy: float = -1.0
    best: dict[str, Tensor] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)


class Checkpoint(TypedDict):
    """What the file of a run holds, all of it readable with ``weights_only``."""

    recipe: dict[str, object]
    network: dict[str, Tensor]
    optimiser: dict[str, Any]
    progress: dict[str, Any]


def build(network: str, width: int) -> nn.Module:
    """Return "lenet" or "vgg11" whose first convolution has ``width`` channels."""
    if network == "lenet":
        return LeNet(conv1=width, conv2=2 * width)
    return VGG11(width)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each picture by up to 3 pixels and mirror half of them.

    (N, 3, 32, 32) to the same shape, in channels-last memory; borders are repeated.
    """
    count = len(images)
    shifts = torch.randint(-SHIFT, SHIFT + 1, (2, count, 1), generator=generator)
    flip = torch.rand(count, 1, generator=generator) < 0.5
    rows, columns = (torch.arange(SIZE) + shifts).clamp(0, SIZE - 1)  # each (N, 32)
    columns = torch.where(flip, columns.flip(1), columns)
    each = torch.arange(count)[:, None, None]
    picked = images[each, :, rows[:, :, None], columns[:, None, :]]  # (N, 32, 32, 3)
    return picked.permute(0, 3, 1, 2)


def learning_rate(first: float, share: float) -> float:
    """Follow half a cosine from ``first`` at the start to 0 at the end of training."""
    return first * 0.5 * (1 + math.cos(math.pi * share))


@torch.inference_mode()
def evaluate(network: nn.Module, data: DataSet) -> tuple[float, float]:
    """Return mean loss and accuracy in evaluation mode, which the network is left in."""
    network.eval()
    device = next(network.parameters()).device
    tally = Tally()
    for pictures, truth in zip(
        *(torch.split(part, EVALUATION_BATCH) for part in data), strict=True
    ):
        labels = truth.to(device)
        logits = network(normalise(pictures.to(device)))
        tally.add(logits, labels, functional.cross_entropy(logits, labels))
    return tally.means()


class Trainer:
    """Trains one network with Adam and cross entropy, and remembers its best state.

    ``train`` and ``valid`` are pairs of uint8 (N, 3, 32, 32) and int64 (N,).
    """

    def __init__(self, recipe: Recipe, train: DataSet, valid: DataSet, lr: float) -> None:
        torch.manual_seed(recipe.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = build(recipe.network, recipe.width)
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=lr)
        self.recipe, self.lr = recipe, lr
        self.train, self.valid = train, valid
        self.progress = Progress()

    @property
    def steps(self) -> int:
        """Return the number of batches in an epoch; a last one of a single picture is left out."""
        full, rest = divmod(len(self.train[0]), self.recipe.batch_size)
        return full + (rest > 1)  # batch norm needs two

    def run_epoch(self, epochs: int, after_step: Step) -> str:
        """Finish the current epoch, validate, and return the line for the log.

        ``after_step`` is called after every batch; what it raises ends the training
        with a progress from which it can go on.
        """
        now = self.progress
        self.network.train()
        for batch in self._batches_left():
            share = (now.epoch + now.step / self.steps) / epochs
            self._learn(batch, learning_rate(self.lr, share))
            now.step += 1
            after_step()
        return self._close_epoch()

    def _batches_left(self) -> Iterator[Tensor]:
        order = torch.randperm(len(self.train[0]), generator=self._generator(0))
        yield from torch.split(order, self.recipe.batch_size)[self.progress.step : self.steps]

    def _generator(self, purpose: int) -> torch.Generator:
        """Return a generator for the shuffle (0) or the n-th batch's augmentation (n + 1)."""
        place = (self.recipe.seed * 10_007 + self.progress.epoch) * 1_000_003 + purpose
        return torch.Generator().manual_seed(place % 2**63)

    def _learn(self, batch: Tensor, lr: float) -> None:
        pictures, labels = self.train[0][batch], self.train[1][batch].to(self.device)
        shifted = augment(pictures, self._generator(self.progress.step + 1))
        logits = self.network(normalise(shifted.to(self.device)))
        loss = functional.cross_entropy(logits, labels)
        self.optimiser.param_groups[0]["lr"] = lr
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.progress.tally.add(logits.detach(), labels, loss.detach())

    def _close_epoch(self) -> str:
        now = self.progress
        loss, accuracy = now.tally.means()
        valid_loss, valid_accuracy = evaluate(self.network, self.valid)
        if valid_accuracy > now.best_accuracy:
            now.best_accuracy, now.best = valid_accuracy, self.plain_state()
        now.epoch, now.step, now.tally = now.epoch + 1, 0, Tally()
        now.log.append(
            f"Epoch: {now.epoch},loss: {loss:.3f},acc: {accuracy:.3f},"
            f"V: {valid_loss:.3f},VAcc: {valid_accuracy:.3f}"
        )
        return now.log[-1]

    def plain_state(self) -> dict[str, Tensor]:
        """Return a copy of the network's state on the CPU, in plain memory order."""
        state = self.network.state_dict()
        return {
            key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for key, value in state.items()
        }

    def save(self, folder: Path) -> None:
        """Write the checkpoint, whole or not at all.

        The learning rate follows from the progress, so no scheduler has a state to keep.
        """
        content: Checkpoint = {
            "recipe": self._fingerprint(),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
        }
        write_whole(content, folder / CHECKPOINT)

    def resume(self, folder: Path) -> bool:
        """Continue from the checkpoint in ``folder``; return False if there is none.

        Raises:
            CheckpointError: it is damaged, or was made by another recipe.
        """
        path = folder / CHECKPOINT
        if not path.is_file():
            return False
        content = _read_checkpoint(path)
        if content["recipe"] != self._fingerprint():
            raise CheckpointError(
                f"{path}: made by {content['recipe']}, and this run is {self._fingerprint()}; "
                "give --no-resume or another --checkpoint-dir"
            )
        self.network.load_state_dict(content["network"])
        self.optimiser.load_state_dict(content["optimiser"])
        progress = content["progress"]
        self.progress = Progress(**{**progress, "tally": Tally(**progress["tally"])})
        return True

    def _fingerprint(self) -> dict[str, object]:
        return {**asdict(self.recipe), "pictures": len(self.train[0])}


def _read_checkpoint(path: Path) -> Checkpoint:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no class of its own for damaged files
        raise CheckpointError(f"{path}: cannot be read; delete it or give --no-resume") from error
    if not isinstance(content, dict) or "progress" not in content:
        raise CheckpointError(f"{path}: no checkpoint of this program")
    return cast(Checkpoint, content)


def write_whole(content: object, path: Path) -> None:
    """Save with torch.save under a passing name, then rename: never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    passing = path.with_name(path.name + ".part")
    torch.save(content, passing)
    passing.replace(path)
