"""The cloud on this machine, found by what ``marquee cloud up`` has written of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from marquee import processes, state
from marquee.errors import MarqueeError
from marquee.project import Project

FILE = "cloud.json"


@dataclass(frozen=True)
class LocalCloud:
    """A running one.

    Attributes:
        address: of all services.
        api_url, api_key: of the stack's API.
        outputs: of the stack.
    """

    address: str
    api_url: str
    api_key: str
    outputs: Mapping[str, str]


def clone() -> Path:
    """Return the clone that this package is of, which has ``deploy/local``.

    Raises:
        MarqueeError: it is not of one.
    """
    folder = Path(__file__).parents[2]
    if not (folder / "deploy" / "local").is_dir():
        raise MarqueeError(
            f"the cloud on this machine is a part of marquee's repository, deploy/local/, and "
            f"{folder} has none: install marquee from a clone of it, as its README tells"
        )
    return folder


def running(project: Project) -> LocalCloud:
    """Return the project's cloud.

    Raises:
        MarqueeError: none runs, or none can.
    """
    clone()
    path = project.state / FILE
    kept = state.read(path)
    try:
        process = processes.running(int(kept["pid"])) if kept else None
        if process is not None and process.create_time() == kept["born"]:
            known = (kept[name] for name in ("address", "api_url", "api_key", "outputs"))
            return LocalCloud(*known)
    except KeyError as error:
        raise MarqueeError(f"{path} is damaged ({error}); remove it") from error
    raise MarqueeError("no cloud of this project is running; start it: marquee cloud up")
