"""The archive that a command names: by version, path or URL; brought into the model store."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from marquee.archives import listing, trust
from marquee.archives.digests import file_digest
from marquee.archives.inspection import inspect
from marquee.archives.manifest import MANIFEST
from marquee.errors import MarqueeError
from marquee.files import replacing
from marquee.interrupts import check
from marquee.project import Project
from marquee.scratch import scratch

DOWNLOAD_TIMEOUT = httpx.Timeout(30, connect=10)
# Left free on the disk by a download.
SPARE_BYTES = 256 << 20


@dataclass(frozen=True)
class Candidate:
    """A version that is to serve: its archive in the model store, and that file's SHA-256 in hex.

    ``copied`` tells whether the file was brought into the store just now.
    """

    name: str
    version: str
    archive: Path
    digest: str
    copied: bool = False

    def discard(self) -> None:
        """Take the file out of the store again, if it was brought there just now."""
        if self.copied:
            for path in (self.archive, trust.signature_of(self.archive)):
                path.unlink(missing_ok=True)


def find(project: Project, model: str | None, target: str) -> Candidate:
    """Return what ``target`` names: a version, an archive in the store or a path to one, a URL.

    Raises:
        MarqueeError: there is no such thing, it is unsafe, or it is not of ``model``.
    """
    if "://" in target:
        with _fetched(project, target) as path:
            return _brought(project, model, path)
    paths = (Path(target), project.model_store / target)
    for path in paths:
        if path.is_file():
            return _brought(project, model, path)
    for path in paths:
        if (path / MANIFEST).is_file():
            inspect(path)  # says that only files are taken
    if model is None or "/" in target or target.endswith(".mar"):
        raise MarqueeError(
            f"there is no archive '{target}', neither as a path nor in {project.model_store}"
        )
    return of_version(project, model, target)


def of_version(project: Project, model: str, version: str) -> Candidate:
    """Return a version of which the model store has the archive.

    Raises:
        MarqueeError: it has none, or one that is unsafe.
    """
    archives = listing.scan(project.model_store).archives
    present = {one.manifest.version: one.path for one in archives if one.manifest.name == model}
    if version in present:
        return _checked(model, present[version])
    # Not even one that the server has: without its archive it could be neither checked nor
    # started again.
    known = ", ".join(sorted(present)) or "none"
    raise MarqueeError(
        f"{project.model_store} has no archive of {model} '{version}', and there is no archive of "
        f"that name; known are: {known}; build another: marquee archive {model}"
    )


def _checked(model: str | None, path: Path) -> Candidate:
    """Inspect an archive before anyone runs it."""
    archive = inspect(path)
    if model is not None and archive.model != model:
        raise MarqueeError(
            f"{path} is an archive of {archive.model} {archive.version}, expected one of {model}"
        )
    return Candidate(archive.model, archive.version, path, archive.sha256)


def _brought(project: Project, model: str | None, path: Path) -> Candidate:
    """Copy an archive into the store if it is not there."""
    new = _checked(model, path)
    if path.resolve().parent == project.model_store.resolve():
        return new
    for other in listing.scan(project.model_store).archives:
        if (other.manifest.name, other.manifest.version) == (new.name, new.version):
            return _same(new, other.path)
    return _copied(project, new, path)


def _same(new: Candidate, other: Path) -> Candidate:
    digest = "an unpacked one" if other.is_dir() else file_digest(other)
    if digest != new.digest:
        raise MarqueeError(
            f"{other} is another {new.name} {new.version} ({digest[:15]}, the new one is "
            f"{new.digest[:12]}); give the new one a version of its own"
        )
    return Candidate(new.name, new.version, other, digest)


def _copied(project: Project, new: Candidate, path: Path) -> Candidate:
    target = project.model_store / f"{new.name}-{new.version}.mar"
    if target.exists():
        raise MarqueeError(f"{target} is in the way: it is an archive of something else; rename it")
    with replacing(target) as part:
        shutil.copyfile(path, part)
        if file_digest(part) != new.digest:
            raise MarqueeError(f"{path} changed while it was copied; try again")
        _bring_signature(path, target)
    return Candidate(new.name, new.version, target, new.digest, copied=True)


def _bring_signature(archive: Path, target: Path) -> None:
    """Copy an archive's signature beside its copy; one that lay there is of another archive."""
    source, own = trust.signature_of(archive), trust.signature_of(target)
    own.unlink(missing_ok=True)
    if source.is_file():
        with replacing(own) as part:
            shutil.copyfile(source, part)


@contextmanager
def _fetched(project: Project, url: str) -> Iterator[Path]:
    """Download what a URL names, if the server's own rules allow it."""
    _check_allowed(project, url)
    parts = urlsplit(url)
    if parts.scheme == "file":
        yield Path(unquote(parts.path))
        return
    with scratch() as folder:
        path = folder / "download.mar"
        _download(url, path)
        yield path


def _check_allowed(project: Project, url: str) -> None:
    allowed = project.properties.get("allowed_urls", "file://.*|http(s)?://.*")
    patterns = [pattern.strip() for pattern in allowed.split(",")]
    plain = unquote(url)
    if (
        ".." in plain
        or not plain.isprintable()
        or not any(re.fullmatch(pattern, url) for pattern in patterns)
    ):
        raise MarqueeError(
            f"'{url}' is not allowed by allowed_urls={allowed} in config.properties; download it "
            "and give its path, or allow it there and restart the server"
        )


def _download(url: str, path: Path) -> None:
    room = shutil.disk_usage(path.parent).free - SPARE_BYTES
    try:
        with (
            httpx.stream("GET", url, timeout=DOWNLOAD_TIMEOUT) as answer,
            path.open("wb") as file,
        ):
            if answer.status_code != 200:
                raise MarqueeError(f"'{url}' was answered with {answer.status_code}, expected 200")
            for block in answer.iter_bytes(1 << 20):
                check()
                room -= len(block)
                if room < 0:
                    raise MarqueeError(f"'{url}' is larger than the free space in {path.parent}")
                file.write(block)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise MarqueeError(f"'{url}' cannot be downloaded: {error}") from error
