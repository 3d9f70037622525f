"""Settings put on the server, each asked everything before it is measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from marquee.errors import MarqueeError
from marquee.interrupts import waited
from marquee.torchserve.management import Version
from marquee.tuning.agreement import rounding
from marquee.tuning.connection import WireAnswer
from marquee.tuning.duel import Loaded
from marquee.tuning.questions import Question
from marquee.tuning.server import TuningServer
from marquee.tuning.setting import FP32, Setting
from marquee.tuning.variants import Variants

# Seconds that an answer may take beyond its model's own limit, TorchServe's where it has none.
SPARE_SECONDS = 5.0
RESPONSE_TIMEOUT = 120


class NotInTime(MarqueeError):
    """A setting has not loaded when the budget was used up."""


@dataclass
class Loader:
    """Loads variants of one archive.

    Attributes:
        until: moment of ``time.monotonic`` at which the budget is used up.
        reference: the answers in fp32, with which those of others are compared.
    """

    server: TuningServer
    variants: Variants
    questions: Sequence[Question]
    until: float
    reference: Sequence[WireAnswer] = ()
    _count: int = field(default=0)

    @property
    def left(self) -> float:
        """Return the seconds that are left."""
        return self.until - time.monotonic()

    def load(self, setting: Setting) -> Loaded:
        """Load a setting, and ask it everything.

        Raises:
            NotInTime: the budget is used up.
            MarqueeError: it does not load, refuses a question, or answers otherwise than it should.
        """
        start = time.monotonic()
        model = self._registered(setting)
        limit = int(self.variants.config.get("responseTimeout") or RESPONSE_TIMEOUT)
        loaded = Loaded(setting, model, self.server, self.questions, hangs=limit + SPARE_SECONDS)
        try:
            self._examine(loaded)
        except MarqueeError:
            loaded.unload()
            raise
        loaded.loading = time.monotonic() - start
        return loaded

    def _registered(self, setting: Setting) -> Version:
        name, self._count = f"tune{self._count}", self._count + 1
        self.variants.make(name, setting)
        version, left = self.variants.version, max(1.0, self.left)
        try:
            return waited(lambda: self.server.load(name, name, version, left))
        except MarqueeError as error:
            if self.left <= 0:
                raise NotInTime(str(error)) from error
            # The log is gone when somebody could read it.
            said = str(error).partition("; the whole story is in")[0]
            raise MarqueeError(said.replace(f"{name} {version} ", "the model ")) from error

    def _examine(self, loaded: Loaded) -> None:
        refused = loaded.ask()
        if refused:
            raise MarqueeError(
                f"the model refuses {len(refused)} of {len(self.questions)} files: "
                f"{'; '.join(refused)}; leave them away"
            )
        if self.reference and loaded.setting.precision == FP32:
            off = loaded.deviation(self.reference)
            if off > rounding(FP32):
                raise MarqueeError(f"other answers than the same network gave before ({off:.2g})")
