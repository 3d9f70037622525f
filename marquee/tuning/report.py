"""What came of tuning a model, for people and for machines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from marquee.tuning.figures import Level
from marquee.tuning.setting import FP32, Setting


@dataclass
class Trial:
    """One setting, and what was seen of it.

    Attributes:
        setting: which.
        levels: figures by the number of clients, of its last comparison with another.
        relative: how many times the requests a second of the setting as it was; of the most
            clients, measured in turns.
        memory: bytes of RAM of its workers together.
        deviation: how far its answers are from those in fp32 at the most, as a share; infinite
            where they differ in more than numbers.
        refused: why it may not be chosen, or None.
    """

    setting: Setting
    levels: list[Level] = field(default_factory=list)
    relative: float = 1.0
    memory: int = 0
    deviation: float = 0.0
    refused: str | None = None


@dataclass(frozen=True)
class TuningReport:
    """All that was tried.

    Attributes:
        model, version: of which model.
        questions: names of what was asked.
        target: p99 in milliseconds that had to be kept, or None.
        cores: that the workers may use.
        trials: in the order in which they were tried; the first is the setting as it was.
        best: which of them is best.
        within_target: whether the best one keeps the target.
        seconds: that it took.
        ended: why nothing more was tried.
        interrupted: whether it was told to stop.
        changes: keys of model-config.yaml with the values that the best setting has otherwise.
        written: those that were written.
    """

    model: str
    version: str
    questions: tuple[str, ...]
    target: float | None
    cores: int
    trials: tuple[Trial, ...]
    best: int
    within_target: bool
    seconds: float
    ended: str
    interrupted: bool
    changes: Mapping[tuple[str, ...], int | str]
    written: Mapping[tuple[str, ...], int | str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return it for JSON; an infinite deviation is None."""
        said = asdict(self)
        for key in ("changes", "written"):
            said[key] = {".".join(path): value for path, value in getattr(self, key).items()}
        for trial in said["trials"]:
            if not math.isfinite(trial["deviation"]):
                trial["deviation"] = None
        return said


def agreement(trial: Trial) -> str:
    """Say how a setting's answers agree with those in fp32."""
    if math.isinf(trial.deviation):
        return "other answers than fp32"
    if trial.setting.precision == FP32:
        return "as fp32"
    return f"within {trial.deviation:.2g} of fp32" if trial.deviation else "equal to fp32"
