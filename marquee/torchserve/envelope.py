"""TorchServe's service envelopes (``json``, ``kserve``, …), and whose requests they may unwrap."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from marquee.errors import MarqueeError
from marquee.project import Project

# In every archive whose handler is one of marquee's, and in no other.
OURS = "handlers/runtime/exchange.py"


def check(project: Project, archives: Iterable[Path]) -> None:
    """Refuse an envelope where an archive's handler unwraps requests by itself.

    The server has one envelope for all its models. It hands on the instances of all requests of a
    batch as one list, which a handler that answers each request by itself can make nothing of.

    Raises:
        MarqueeError: which archives these are.
    """
    envelope = project.properties["service_envelope"]
    own = [path.name for path in archives if _is_ours(path)] if envelope else []
    if own:
        raise MarqueeError(
            f"service_envelope is {envelope!r} (TS_SERVICE_ENVELOPE), and the handlers of "
            f"{', '.join(own)} take "
            '{"instances": …} as it is sent, without one; unset it, or serve them elsewhere'
        )


def _is_ours(archive: Path) -> bool:
    if archive.is_dir():
        return (archive / OURS).is_file()
    try:
        with zipfile.ZipFile(archive) as opened:
            return OURS in opened.namelist()
    except (OSError, zipfile.BadZipFile):
        return False  # told as what it is, by whoever unpacks it
