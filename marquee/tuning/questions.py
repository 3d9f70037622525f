"""What is asked while tuning: the user's own files, else the archive's example."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from marquee.archives import golden
from marquee.client.request import PredictionRequest
from marquee.errors import MarqueeError
from marquee.media import accepted, type_of_file

# Each is asked of each setting, and its answers are kept.
MOST = 100


@dataclass(frozen=True)
class Question:
    """A request: a file's bytes and its headers; ``name`` is for messages."""

    name: str
    headers: Mapping[str, str]
    body: bytes


def of_files(
    model: str, paths: Iterable[Path], parameters: Mapping[str, str], accept: str | None
) -> list[Question]:
    """Return a request for each file, and for each file right in each folder.

    Raises:
        MarqueeError: there is no such file, there are none, or more than :data:`MOST`.
    """
    kind = accepted(accept) if accept else None
    request = PredictionRequest(model, accept=kind, parameters=parameters)
    files = [file for path in paths for file in _files(path)]
    if len(files) > MOST:
        raise MarqueeError(
            f"there are {len(files)} files; expected at most {MOST}, which stand for the others"
        )
    return [
        Question(str(file), request.headers(type_of_file(file)), file.read_bytes())
        for file in files
    ]


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        if not path.is_file():
            raise MarqueeError(f"there is no file or folder {path}; name the files to ask about")
        yield path
        return
    files = sorted(one for one in path.iterdir() if one.is_file() and one.name[0] != ".")
    if not files:
        raise MarqueeError(f"the folder {path} has no files; name one with pictures")
    yield from files


def of_archive(archive: Path, parameters: Mapping[str, str], accept: str | None) -> list[Question]:
    """Return the request that is the archive's own example.

    Raises:
        MarqueeError: it has none.
    """
    example = golden.example_of(archive)
    if example is None:
        raise MarqueeError(f"{archive.name} holds no example; name files to ask about")
    wanted = PredictionRequest(
        "", accept=accepted(accept) if accept else None, parameters=parameters
    )
    stated = example.headers.get("Content-Type", "")
    return [Question(example.name, {**example.headers, **wanted.headers(stated)}, example.body)]
