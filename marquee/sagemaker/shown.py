"""What is going on, on stderr: the steps as lines, the wait as a clock, the upload in bytes."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Shown:
    """A context in which ``tell`` shows a step and ``uploaded`` more bytes."""

    def __init__(self) -> None:
        """Show nothing before the context is entered."""
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(
            *columns,
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("Asking AWS", total=None)
        self._last = ""
        self._bytes = 0

    def __enter__(self) -> Shown:
        """Start the clock."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the clock away; the lines stay."""
        self._progress.stop()

    def tell(self, step: str) -> None:
        """Show a step; the same again is shown once."""
        if step != self._last:
            self._last = step
            self._console.print(step, markup=False)
            self._progress.update(self._task, description=step)

    def uploaded(self, count: int) -> None:
        """Count ``count`` more bytes; boto3 calls this from its own threads."""
        self._bytes += count
        self._progress.update(self._task, description=f"Uploaded {self._bytes / 1e6:.1f} MB")
