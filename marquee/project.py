"""Where things are: a folder with config.properties, handlers/, weights/ and model_store/."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from marquee import properties
from marquee.errors import MarqueeError

CONFIG_NAME = "config.properties"
# A Unix socket's path may have this many bytes, and TorchServe has one for each worker in the
# temporary folder.
SOCKET_BYTES = 103 if sys.platform == "darwin" else 107
LONGEST_SOCKET = len("/.ts.sock.65535")


@dataclass(frozen=True)
class Project:
    """A marquee project, by its root folder.

    Attributes:
        root: the folder.
        environ: the variables that it and its server heed, as they were when it was made.
    """

    root: Path
    environ: Mapping[str, str] = field(
        default_factory=lambda: dict(os.environ), repr=False, compare=False
    )

    @classmethod
    def find(cls) -> Project:
        """Return the project of the current folder: it or the nearest parent that is one.

        Raises:
            MarqueeError: there is none up to the file system's root.
        """
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / CONFIG_NAME).is_file() and (folder / "handlers").is_dir():
                return cls(folder)
        raise MarqueeError(
            f"{here} is not inside a marquee project: no folder from here upwards has both "
            f"{CONFIG_NAME} and handlers/; change to your clone first"
        )

    @property
    def config_file(self) -> Path:
        """TorchServe's configuration: ours, or the one TS_CONFIG_FILE names."""
        return Path(self.environ.get("TS_CONFIG_FILE") or self.root / CONFIG_NAME)

    @cached_property
    def properties(self) -> dict[str, str]:
        """The effective properties, environment included."""
        return properties.read(self.config_file, self.environ)

    @property
    def model_store(self) -> Path:
        """The folder of the archives."""
        return self.root / self.properties["model_store"]

    @property
    def handlers(self) -> Path:
        """The folder of the models' rooms."""
        return self.root / "handlers"

    @property
    def weights(self) -> Path:
        """The folder of the user's own weights."""
        return self.root / "weights"

    @property
    def logs(self) -> Path:
        """The folder of TorchServe's logs."""
        return Path(self.environ.get("LOG_LOCATION") or self.root / "logs")

    @property
    def key_file(self) -> Path:
        """TorchServe's tokens; it writes them to the folder it was started in."""
        return self.root / "key_file.json"

    @property
    def state(self) -> Path:
        """What the operator's commands remember: history, chosen defaults, a swap under way."""
        return self.root / ".marquee"

    @property
    def temp(self) -> Path:
        """The server's own temporary folder: unpacked archives, sockets, its pid file.

        Short, since a Unix socket's path has at most 107 bytes; and this project's and
        user's alone, since two servers in one folder remove each other's sockets.
        """
        chosen = self.environ.get("TEMP")
        if chosen:
            return Path(chosen)
        name = hashlib.sha256(str(self.root).encode()).hexdigest()[:8]
        base = Path("/tmp")  # noqa: S108 - the folder itself is private, see make_temp
        base = base if base.is_dir() else Path(tempfile.gettempdir())
        return base / f"marquee-{os.getuid()}-{name}"

    def make_temp(self) -> Path:
        """Create the temporary folder, readable by this user only.

        Raises:
            MarqueeError: it exists and belongs to someone else, or its path is too long.
        """
        folder = self.temp
        _check_length(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise MarqueeError(f"{folder} belongs to another user; remove it, or set TEMP")
        return folder


def _check_length(folder: Path) -> None:
    """Refuse a folder in which a socket's path would be too long: it fails where it is made."""
    length, most = len(os.fsencode(folder)), SOCKET_BYTES - LONGEST_SOCKET
    if length > most:
        raise MarqueeError(
            f"the temporary folder {folder} has a path of {length} bytes, expected at most {most} "
            f"(the paths of the server's sockets in it may have {SOCKET_BYTES}); set TEMP to a "
            "shorter one"
        )
