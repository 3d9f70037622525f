"""Changes of the server that the page has begun: they go on, whoever looks at them.

The functions are those of the commands, and so are the steps and the sentences. A page that is
closed ends nothing; a studio that is killed leaves a swap to its guard, as a killed command does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from marquee.errors import MarqueeError
from marquee.versions.history import Step, StepListener

# What is told while it goes on: how long it has, at least so often.
TELL_SECONDS = 1.0
# Those that are over are kept for pages opened since, the last so many.
KEPT = 20

# What a change does: it is handed the listener, and returns what to say at its end.
Work = Callable[[StepListener], str]

log = logging.getLogger(__name__)


@dataclass
class Change:
    """A change that goes on, or is over.

    Attributes:
        what: in words, such as ``swap cifar to 1.0``.
        steps: those that ended, in order.
        said: what came of it; empty as long as it goes on.
        failed: whether that is why it was refused, or went back.
        seconds: how long it took.
    """

    what: str
    steps: list[Step] = field(default_factory=list)
    said: str = ""
    failed: bool = False
    began: float = field(default_factory=time.monotonic)
    took: float | None = None
    _news: threading.Condition = field(default_factory=threading.Condition, repr=False)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.took is not None

    @property
    def seconds(self) -> float:
        """How long it has taken until now, or took."""
        return time.monotonic() - self.began if self.took is None else self.took

    def follow(self) -> Iterator[None]:
        """Return whenever there is something to tell; the last time when it is over."""
        told = -1

        def is_news() -> bool:
            return self.over or len(self.steps) != told

        while not self.over:
            told = len(self.steps)
            yield
            with self._news:
                self._news.wait_for(is_news, TELL_SECONDS)
        yield

    def run(self, work: Work) -> None:
        """Do the work; whatever it raises is told."""
        try:
            self._end(work(self._step), failed=False)
        except MarqueeError as error:
            self._end(str(error), failed=True)
        except Exception as error:
            log.exception("%s failed", self.what)
            self._end(
                f"the studio failed ({type(error).__name__}); its log says where", failed=True
            )

    def _step(self, step: Step) -> None:
        with self._news:
            self.steps.append(step)
            self._news.notify_all()

    def _end(self, said: str, *, failed: bool) -> None:
        with self._news:
            self.said, self.failed, self.took = said, failed, self.seconds
            self._news.notify_all()


class Changes:
    """The changes of a studio, of all its pages."""

    def __init__(self) -> None:
        self._begun: list[Change] = []
        self._noting = threading.Lock()

    def begin(self, what: str, work: Work) -> Change:
        """Begin a change, in a thread of its own; who may is the work's own to say."""
        change = Change(what)
        with self._noting:
            self._begun = [*self._begun, change][-KEPT:]
        threading.Thread(target=change.run, args=(work,), name=what, daemon=True).start()
        return change

    def last(self) -> Change | None:
        """Return the one that was begun last, over or not."""
        with self._noting:
            return self._begun[-1] if self._begun else None
