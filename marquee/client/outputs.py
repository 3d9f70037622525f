"""Where the answers to files are saved: nothing that exists is overwritten unless named."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from marquee.errors import MarqueeError
from marquee.media import is_shown, suffix_of

STEM = "{stem}"
DEFAULT_NAME = "{stem}-{model}"


class OutputFiles:
    """Chooses and fills the files for answers.

    Args:
        output: a file (for one input), a folder, a template with ``{stem}`` (and, if wanted,
            ``{model}``), or None: the current folder, for pictures and arrays only.
        label: what ``{model}`` stands for, here and in the names that are chosen here:
            ``<stem>-<model>.<suffix>``.
        count: how many inputs there are.

    Raises:
        MarqueeError: one file for many answers, or a folder that does not exist.
    """

    def __init__(self, output: str | None, label: str, count: int) -> None:
        self._label = label
        self._everything = output is not None
        self._exact: Path | None = None
        self._template = Path(DEFAULT_NAME)
        self._parts: set[Path] = set()
        if output is not None:
            self._read(output, count)

    def _read(self, output: str, count: int) -> None:
        if STEM in output:
            self._template = Path(output)
        elif output.endswith("/") or Path(output).is_dir():
            _make(Path(output))
            self._template = Path(output) / DEFAULT_NAME
        elif count > 1:
            raise MarqueeError(
                f"-o {output} is one file for the answers to {count} files; name a folder "
                f"(-o {output}/) or a template (-o '{STEM}-out{Path(output).suffix}')"
            )
        else:
            self._exact = Path(output)
        folder = (self._exact or self._template).parent
        if not folder.is_dir():
            raise MarqueeError(f"-o {output}: there is no folder {folder}; create it first")

    def wants(self, content_type: str) -> bool:
        """Whether an answer of this type is saved: all with ``-o``, else what is no text."""
        return self._everything or not is_shown(content_type)

    def save(self, file: Path, content_type: str, chunks: Iterable[bytes]) -> Path:
        """Write the answer to ``file``, whole or not at all; return where it is."""
        if self._exact is not None and self._exact.resolve() == file.resolve():
            raise MarqueeError(f"-o {self._exact} is the input itself; choose another name")
        folder = (self._exact or self._template).parent
        part = folder / f".{uuid.uuid4().hex}.part"  # the name it gets depends on what is free then
        self._parts.add(part)
        try:
            with part.open("wb") as sink:
                for chunk in chunks:
                    sink.write(chunk)
            return part.replace(self._exact or self._reserved(file, content_type))
        finally:
            part.unlink(missing_ok=True)
            self._parts.discard(part)

    def abandon(self) -> None:
        """Remove what is half written: nobody waits for the rest."""
        for part in [*self._parts]:
            part.unlink(missing_ok=True)

    def _reserved(self, file: Path, content_type: str) -> Path:
        """Create and return the first free name: two answers at once must not choose the same."""
        for path in self._names(file, content_type):
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                continue
            return path
        raise AssertionError("the numbers never end")

    def _names(self, file: Path, content_type: str) -> Iterator[Path]:
        suffix = self._template.suffix or suffix_of(content_type)
        base = self._template.name.removesuffix(self._template.suffix)
        base = base.replace(STEM, file.stem).replace("{model}", self._label)
        yield self._template.with_name(f"{base}{suffix}")
        for number in itertools.count(2):
            yield self._template.with_name(f"{base}-{number}{suffix}")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MarqueeError(f"-o {folder}: cannot create the folder: {error.strerror}") from error
