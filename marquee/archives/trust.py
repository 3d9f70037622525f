"""Whose archives may run: those that a key signed which the configuration trusts.

What was checked is what is loaded: an archive is unpacked into a folder that this user alone can
write to, its files are checked there, and there the server loads them. Whatever becomes of the
archive in the meantime has no effect.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from uuid import uuid4

from marquee.archives import reader, safety
from marquee.archives.inspection import inspect
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.scratch import scratch

# In config.properties: PEM files with public keys, separated by commas.
PROPERTY = "marquee.trust"
PACKAGE = "model_signing"
SUFFIX = ".sig"
# In the server's temporary folder: what is unpacked and checked, by the archives' names.
FOLDER = "trusted"


def keys(project: Project) -> tuple[Path, ...]:
    """Return the public keys that a project trusts; none where any archive may run.

    Raises:
        MarqueeError: signatures cannot be checked here.
    """
    text = project.properties.get(PROPERTY, "")
    return checkable(project.root / word.strip() for word in text.split(",") if word.strip())


def refuse_cluster(project: Project, instead: str) -> None:
    """Refuse Ray clusters where only signed archives may run: their nodes unpack by themselves.

    Args:
        instead: what to do on one machine.

    Raises:
        MarqueeError: the project trusts some keys only.
    """
    if keys(project):
        raise MarqueeError(
            f"{PROPERTY} names keys, and a Ray cluster does not check signatures; {instead}, or do "
            "it from a project that names none"
        )


def checkable(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return keys with which signatures can be checked here.

    Raises:
        MarqueeError: one of them is no key, or the package is missing.
    """
    found = tuple(paths)
    if found:
        signature = signatures()
        for path in found:
            signature.fingerprint(path)
    return found


def signatures() -> ModuleType:
    """Import what makes and checks signatures.

    Raises:
        MarqueeError: its package is not installed.
    """
    if find_spec(PACKAGE) is None:
        raise MarqueeError(
            "signatures of archives need a package that is not installed here; run: pip install "
            "'marquee[sign]' (in a clone: .venv/bin/pip install -e '.[sign]')"
        )
    from marquee.archives import signature  # noqa: PLC0415 - an extra, and half a second

    return signature


def signature_of(archive: Path) -> Path:
    """Return where an archive's signature lies."""
    return archive.with_name(archive.name + SUFFIX)


def sign(archive: Path, key: Path, password: bytes | None = None) -> Path:
    """Sign an archive that is safe and what its manifest says, and return the signature's path.

    Raises:
        MarqueeError: it is not, or the key cannot be used.
    """
    signature = signatures()
    inspected = inspect(archive)
    target = signature_of(archive)
    with scratch() as folder:
        # The name in the signature is the folder's.
        unpacked = folder / f"{inspected.model}-{inspected.version}"
        _unpack(archive, unpacked)
        signature.sign(unpacked, target, key, password)
    return target


def verify(archive: Path, trusted: Sequence[Path]) -> Path:
    """Return the key, of those that are trusted, which signed an archive as it is now.

    Raises:
        MarqueeError: there is none.
    """
    with scratch() as folder:
        return unpack_signed(archive, folder / "unpacked", trusted)


def unpack(project: Project, archive: Path, folder: Path) -> None:
    """Unpack an archive to run it, if the project trusts it; ``folder`` is made.

    Raises:
        MarqueeError: it does not, or the archive cannot be unpacked.
    """
    trusted = keys(project)
    if trusted:
        unpack_signed(archive, folder, trusted)
    else:
        _unpack(archive, folder)


def unpack_signed(archive: Path, folder: Path, trusted: Sequence[Path]) -> Path:
    """Unpack an archive, check what was unpacked, and return the key that signed it.

    Args:
        archive: a ``.mar`` file.
        folder: is made; it is removed again where the archive is not trusted.
        trusted: public keys, one at least.

    Raises:
        MarqueeError: none of the keys signed it as it is now, or it cannot be unpacked.
    """
    signature = signatures()
    if archive.is_dir() or reader.suffix_of(archive) != reader.ZIP:
        raise MarqueeError(
            f"{archive} cannot be signed, and {PROPERTY} wants that; expected a .mar file, as "
            "'marquee archive' makes it"
        )
    try:
        _unpack(archive, folder)
        key: Path = signature.verify(folder, archive, signature_of(archive), trusted)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return key


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as packed:
            safety.check_zip(packed, archive)
            packed.extractall(folder)
    except reader.DAMAGE as error:
        raise MarqueeError(f"{archive} cannot be unpacked: {error}") from error


def store(project: Project) -> Path:
    """Return the model store that TorchServe is given: what it cannot see it cannot load."""
    return project.temp / FOLDER if keys(project) else project.model_store


def admit(project: Project, archive: Path) -> None:
    """Bring an archive before TorchServe, if the project trusts it.

    Raises:
        MarqueeError: it does not.
    """
    trusted = keys(project)
    if not trusted:
        return
    folder = project.make_temp() / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    made, target = folder / f".{uuid4().hex}.part", folder / archive.name
    unpack_signed(archive, made, trusted)
    shutil.rmtree(target, ignore_errors=True)  # of a version that is registered no more
    made.rename(target)


def admit_all(project: Project, archives: Iterable[Path]) -> None:
    """Bring the archives of a start before TorchServe.

    Raises:
        MarqueeError: which of them the project does not trust; a sentence for each.
    """
    problems = []
    for archive in archives:
        try:
            admit(project, archive)
        except MarqueeError as error:
            problems.append(str(error))
    if problems:
        raise MarqueeError(
            f"{PROPERTY} names keys, and not all archives are signed by one: "
            f"{'; '.join(problems)}; or move them out of {project.model_store}"
        )
