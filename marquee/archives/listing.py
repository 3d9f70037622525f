"""What a folder of archives holds: those that can be served, and what is passed over, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from marquee.archives import reader
from marquee.archives.manifest import MANIFEST, Manifest, path_text
from marquee.errors import MarqueeError

# What tools leave behind; nothing of it belongs to a model.
LITTER = ("__pycache__", "__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
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
            archive = Archive(path, reader.read(path))
            _check_alone(archive, archives)
        except MarqueeError as error:
            refused.append(f"{error}; it is passed over")
        except OSError as error:
            strays.append(f"{path_text(path)} cannot be read ({error.strerror}) and is passed over")
        else:
            archives[archive.manifest.name, archive.manifest.version] = archive
    return Listing(tuple(archives.values()), tuple(refused), tuple(strays))


def _entries(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise MarqueeError(f"{path_text(folder)} cannot be read: {error.strerror}") from error
    return [path for path in entries if not is_hidden(path.name)]


def is_hidden(name: str) -> bool:
    """Tell what a system or a tool leaves behind and no user put there."""
    return name.startswith(".") or name in LITTER


def _is_archive(path: Path) -> bool:
    # A link to nothing has no kind; if it has an archive's name, the reader says what it lacks.
    if path.is_dir():
        return (path / MANIFEST).exists()
    return bool(reader.suffix_of(path))


def _check_alone(archive: Archive, others: Mapping[tuple[str, str], Archive]) -> None:
    name, version = archive.manifest.name, archive.manifest.version
    other = others.get((name, version))
    if other is not None:
        raise MarqueeError(
            f"{path_text(archive.path)} is {name} {version}, and so is {path_text(other.path)}; "
            "give one of them a version of its own"
        )
    file = archive.path.name
    is_word = file.isprintable() and file == file.strip() and file.lower() != "all"
    if not is_word or file.startswith("-") or any(mark in file for mark in SEPARATORS):
        raise MarqueeError(
            f"{path_text(archive.path)} has a file name that TorchServe's list of models does not "
            f"take (such as one with ',', '=' or '..'); rename it, to {name}-{version}"
        )


def _stray(path: Path) -> Iterator[str]:
    if path.is_dir():
        yield f"{path_text(path)} has no {MANIFEST} and is passed over{_hint(path)}"
    elif path.name.lower().endswith(ALMOST):
        expected = "expected an archive's name: *.mar, *.tar.gz or *.tgz"
        yield f"{path_text(path)} is passed over; {expected}"


def _hint(folder: Path) -> str:
    inside = reader.servable(_names_below(folder))
    if inside is None:
        return ""
    if inside.endswith(".py"):
        return f"; it holds {inside}: marquee archive script makes an archive of such a folder"
    return f"; one level down it holds {inside}: move that up"


def _names_below(folder: Path) -> Iterator[str]:
    """Yield what lies in a folder and in its own folders, to say what somebody may have meant."""
    for path in sorted(folder.iterdir()):
        yield path.name
        for below in (MANIFEST, "code/inference.py", "inference.py"):
            if (path / below).is_file():
                yield f"{path.name}/{below}"
