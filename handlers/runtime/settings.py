"""A model's settings: the ``marquee:`` section of its model-config.yaml, checked when it loads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from handlers.runtime.cores import cores
from handlers.runtime.torchserve import response_timeout

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
DEVICES = ("assigned", "gpu", "cpu", "any")
# All whole numbers, and the smallest that makes sense.
LEAST = {
    "max_pixels": 1,
    "max_items": 1,
    "max_batch": 0,
    "max_batch_pixels": 1,
    "explain_seconds": 0,
    "threads": 0,
}
MAX_EXPLAIN_SECONDS = 120.0


class SettingsError(ValueError):
    """A setting that is unknown or makes no sense; raised while the model loads."""


@dataclass(frozen=True)
class Settings:
    """What the ``marquee:`` section may say to the runtime.

    Attributes:
        precision: fp32 (exact), tf32 (fp32 with TF32 matrix units), bf16 or fp16.
        device: ``assigned`` is the GPU that TorchServe assigned, or the CPU where it assigned none;
            ``gpu`` refuses to load without one; ``cpu`` leaves it alone; ``any`` takes the CPU
            when the GPU cannot be used.
        max_pixels: pixels an input image may have.
        max_items: inputs one request may hold.
        max_batch: items the network gets in one call; 0 means TorchServe's batch size.
        max_batch_pixels: pixels that wait for the network at once; a batch of more goes in parts.
        explain_seconds: that all explanations of a batch may take, at most half of
            responseTimeout; 0 means a quarter of it, at most two minutes.
        threads: CPU threads of one worker; 0 means cores divided by workers.
        options: the handler's own, such as sizes of the network.
    """

    precision: str = "fp32"
    device: str = "assigned"
    max_pixels: int = 64_000_000
    max_items: int = 64
    max_batch: int = 0
    max_batch_pixels: int = 1 << 24
    explain_seconds: int = 0
    threads: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    # Written by `marquee archive` for people and tools; nothing here reads them.
    DESCRIPTIVE = ("version", "weights", "versions", "default", "golden")

    @classmethod
    def from_yaml(cls, config: Mapping[str, Any] | None) -> Settings:
        """Read the ``marquee:`` section of a parsed model-config.yaml.

        Raises:
            SettingsError: names the key, what it holds and what was expected.
        """
        section = (config or {}).get("marquee") or {}
        known = {item.name for item in fields(cls)}
        for key in section:
            if key not in known and key not in cls.DESCRIPTIVE:
                raise SettingsError(f"marquee.{key} is unknown; known are {sorted(known)}")
        settings = cls(**{key: value for key, value in section.items() if key in known})
        settings._check()
        return settings

    def _check(self) -> None:
        if self.precision not in PRECISIONS:
            raise SettingsError(f"marquee.precision is {self.precision!r}, expected {PRECISIONS}")
        if self.device not in DEVICES:
            raise SettingsError(f"marquee.device is {self.device!r}, expected {DEVICES}")
        for name, least in LEAST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise SettingsError(f"marquee.{name} is {value!r}, expected an integer >= {least}")
        if not isinstance(self.options, Mapping):
            raise SettingsError(f"marquee.options is {self.options!r}, expected names and values")


def threads_per_worker(settings: Settings, config: Mapping[str, Any] | None) -> int:
    """Return how many CPU threads one worker should use: all its workers share the cores."""
    if settings.threads:
        return settings.threads
    top = config or {}
    workers = max(int(top.get("maxWorkers") or 1), int(top.get("minWorkers") or 1))
    return max(1, cores() // workers)


def explain_seconds(settings: Settings, config: Mapping[str, Any] | None) -> float:
    """Return the seconds that the explanations of a batch may take together.

    Raises:
        SettingsError: more than half of the time after which TorchServe kills the worker.
    """
    timeout = response_timeout(config)
    if settings.explain_seconds > timeout / 2:
        raise SettingsError(
            f"marquee.explain_seconds is {settings.explain_seconds}, expected at most half of "
            f"responseTimeout ({timeout:g}): predictions of the same batch come first"
        )
    return float(settings.explain_seconds) or min(timeout / 4, MAX_EXPLAIN_SECONDS)
