"""What a folder of archives holds: those that can be served, and what is passed over, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from marquee.archives import reader
from marquee.archives.digests import MANIFEST
from marquee.archives.manifest import Manifest, told
from marquee.archives.model_folder import LITTER
from marquee.errors import MarqueeError

# What people take for an archive; other files beside archives, such as weights, are no news.
ALMOST = (".mar", ".zip", ".tar", ".war", ".tar.gz", ".tgz")
# TorchServe cuts its list at the first, and takes what is before the second for a name.
SEPARATORS = (",", "=", "\\", "..")


@dataclass(frozen=True)
class Archive:
    """An archive that can be served, and its manifest."""

    path: Path
    manifest: Manifest


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        archives: by path; no two are of the same name and version.
        refused: a sentence for each archive that cannot be served.
        strays: a sentence for each folder that is no archive.
    """

    archives: tuple[Archive, ...]
    refused: tuple[str, ...]
    strays: tuple[str, ...]

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Everything that is not served, a sentence each."""
        return self.refused + self.strays


def scan(folder: Path) -> Listing:
    """Look through a folder; hidden files and what tools leave behind are not mentioned.

    Raises:
        MarqueeError: the folder itself cannot be read.
    """
    archives: dict[tuple[str, str], Archive] = {}
    refused, strays = [], []
    for path in _entries(folder):
        try:
            if not _is_archive(path):
                strays += [*_stray(path)]
                continue
            found = Archive(path, reader.read(path))
            _check_alone(found, archives)
        except MarqueeError as error:
            refused.append(f"{error}; it is passed over")
        except OSError as error:
            strays.append(f"{told(path)} cannot be read ({error.strerror}) and is passed over")
        else:
            archives[found.manifest.name, found.manifest.version] = found
    return Listing(tuple(archives.values()), tuple(refused), tuple(strays))


def _entries(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise MarqueeError(f"{told(folder)} cannot be read: {error.strerror}") from error
    return [path for path in entries if not path.name.startswith(".") and path.name not in LITTER]


def _is_archive(path: Path) -> bool:
    # A link to nothing has no kind; if it has an archive's name, the reader says what it lacks.
    if path.is_dir():
        return (path / MANIFEST).exists()
    return bool(reader.suffix_of(path))


def _check_alone(found: Archive, archives: dict[tuple[str, str], Archive]) -> None:
    name, version = found.manifest.name, found.manifest.version
    other = archives.get((name, version))
    if other is not None:
        raise MarqueeError(
            f"{told(found.path)} is {name} {version}, and so is {told(other.path)}; "
            "give one of them a version of its own"
        )
    file = found.path.name
    is_word = file.isprintable() and file == file.strip() and file.lower() != "all"
    if not is_word or file.startswith("-") or any(mark in file for mark in SEPARATORS):
        raise MarqueeError(
            f"{told(found.path)} has a file name that TorchServe's list of models does not take "
            f"(such as one with ',', '=' or '..'); rename it, to {name}-{version}"
        )


def _stray(path: Path) -> Iterator[str]:
    if path.is_dir():
        yield f"{told(path)} has no {MANIFEST} and is passed over{_hint(path)}"
    elif path.name.lower().endswith(ALMOST):
        yield f"{told(path)} is passed over; expected an archive's name: *.mar, *.tar.gz or *.tgz"


def _hint(folder: Path) -> str:
    inside = reader.servable(_names_below(folder))
    if inside is None:
        return ""
    if inside.endswith(".py"):
        return f"; it holds {inside}: marquee archive --script makes an archive of such a folder"
    return f"; one level down it holds {inside}: move that up"


def _names_below(folder: Path) -> Iterator[str]:
    """Yield what lies in a folder and in its own folders, to say what somebody may have meant."""
    for path in sorted(folder.iterdir()):
        yield path.name
        for below in (MANIFEST, "code/inference.py", "inference.py"):
            if (path / below).is_file():
                yield f"{path.name}/{below}"
