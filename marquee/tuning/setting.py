"""What is tuned, and where model-config.yaml has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FP32 = "fp32"
# TorchServe's own, in milliseconds, where a configuration does not say.
DEFAULT_DELAY = 100
# Where model-config.yaml has each.
KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "workers": (("minWorkers",), ("maxWorkers",)),
    "threads": (("marquee", "threads"),),
    "batch": (("batchSize",),),
    "delay": (("maxBatchDelay",),),
    "precision": (("marquee", "precision"),),
}


@dataclass(frozen=True)
class Setting:
    """One way to serve a model.

    Attributes:
        workers: worker processes.
        threads: CPU threads of each; 0 leaves the choice to the worker.
        batch: requests in a batch, at the most.
        delay: milliseconds that a batch waits to fill; of no meaning for batches of one.
        precision: fp32, tf32, bf16 or fp16.
    """

    workers: int = 1
    threads: int = 0
    batch: int = 1
    delay: int = 1
    precision: str = FP32

    def __str__(self) -> str:
        """Return it in words."""
        threads = f"{_count(self.threads, 'thread')} each" if self.threads else "their own threads"
        batch = f"batches of {self.batch} in {self.delay} ms" if self.batch > 1 else "no batches"
        return f"{_count(self.workers, 'worker')}, {threads}, {batch}, {self.precision}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def setting_of(config: Mapping[str, Any]) -> Setting:
    """Return what a model-config.yaml, of an archive, sets."""
    section = config.get("marquee") or {}
    threads = section.get("threads")
    return Setting(
        workers=int(config.get("minWorkers") or 1),
        threads=threads if isinstance(threads, int) else 0,
        batch=int(config.get("batchSize") or 1),
        delay=int(config.get("maxBatchDelay") or DEFAULT_DELAY),
        precision=str(section.get("precision") or FP32),
    )


def configured(config: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    """Return a model-config.yaml, of an archive, with a setting."""
    made = {**config, "marquee": {**(config.get("marquee") or {})}}
    for name, value in asdict(setting).items():
        for *outer, key in KEYS[name]:
            (made["marquee"] if outer else made)[key] = value
    if not setting.threads:
        del made["marquee"]["threads"]
    return made


def changes(before: Setting, after: Setting) -> dict[tuple[str, ...], int | str]:
    """Return what to write into model-config.yaml, by the path of its key."""
    old, new = asdict(before), asdict(after)
    return {key: new[name] for name in new if new[name] != old[name] for key in KEYS[name]}
