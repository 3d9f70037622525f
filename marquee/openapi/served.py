"""What a server offers: each version of each model with its own description."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from marquee import processes
from marquee.archives import listing, trial, trust
from marquee.archives.inspection import inspect
from marquee.archives.manifest import version_order
from marquee.errors import MarqueeError
from marquee.front.process import running
from marquee.project import Project
from marquee.scratch import scratch
from marquee.torchserve.connection import keys_of
from marquee.torchserve.loaded import defaults
from marquee.torchserve.management import Management, Version

# Name, version, and when the oldest worker started -> what they say of themselves.
Descriptions: TypeAlias = dict[tuple[str, str, str], Mapping[str, Any]]


@dataclass(frozen=True)
class Offer:
    """One version of one model.

    Attributes:
        model, version: which.
        default: whether it answers requests that name no version.
        said: the handler's description of itself; nothing where it has none.
    """

    model: str
    version: str
    default: bool
    said: Mapping[str, Any]

    @property
    def known(self) -> bool:
        """Whether it says what it takes and gives, as handlers of ours do."""
        return {"consumes", "produces", "parameters"} <= self.said.keys()


@dataclass(frozen=True)
class Served:
    """What a document is made from.

    Attributes:
        offers: the versions that answer.
        front: whether a front door stands before TorchServe, with its paths and queries.
        secured: whether a key is asked for.
        max_request_size: bytes of a body.
        address: where the server is; ``/`` for the one that the document comes from.
    """

    offers: tuple[Offer, ...]
    front: bool
    secured: bool
    max_request_size: int
    address: str = "/"

    @cached_property
    def models(self) -> dict[str, tuple[Offer, ...]]:
        """The versions of each model, the default one first."""
        found: dict[str, tuple[Offer, ...]] = {}
        for offer in sorted(self.offers, key=_order):
            found[offer.model] = (*found.get(offer.model, ()), offer)
        return found


def _order(offer: Offer) -> tuple[str, bool, Any]:
    return offer.model, not offer.default, version_order(offer.version)


def served(project: Project, model: str | None = None, *, front: bool = False) -> Served:
    """Ask the running server; without one, the archives of the model store.

    Args:
        model: this one alone.
        front: the store's archives as behind a front door.

    Raises:
        MarqueeError: there is no such model, or an archive does not load.
    """
    with Management.of(project) as api:
        up = api.answers()
        offers = tuple(of_server(api, model) if up else _of_archives(project, model))
    properties = project.properties
    return Served(
        offers,
        front=running(project) is not None if up else front,
        secured=keys_of(project) is not None,
        max_request_size=int(properties.get("max_request_size", "6553500")),
        address=properties["inference_address"],
    )


def of_server(
    api: Management, model: str | None = None, known: Descriptions | None = None
) -> Iterator[Offer]:
    """Yield the versions with workers of a running server's models, or of one.

    Args:
        known: what was said before, by the same workers; what is said now is added to it.

    Raises:
        MarqueeError: no server answers, or it has no such model.
    """
    for name in api.models() if model is None else [api.known(model).name]:
        default = api.default(name)
        for one in api.versions(name):
            if one.loaded:
                said = _described(api, one, {} if known is None else known)
                yield Offer(name, one.version, one.version == default, said)


def _described(api: Management, one: Version, known: Descriptions) -> Mapping[str, Any]:
    # Another archive may come under the same name; its workers start anew.
    since = min(str(worker["startTime"]) for worker in one.workers)
    asked = (one.name, one.version, since)
    if asked not in known:
        known[asked] = api.description(one.name, one.version)
    return known[asked]


def _of_archives(project: Project, model: str | None) -> Iterator[Offer]:
    """Load each archive in a process of its own, and have it describe itself."""
    found = listing.scan(project.model_store).archives
    known = sorted({one.manifest.name for one in found})
    if model is not None and model not in known:
        raise MarqueeError(
            f"no server runs, and the model store has no '{model}'; it has: "
            f"{', '.join(known) or 'nothing'}; build it: marquee archive {model}"
        )
    standing = defaults(project)
    for one in found:
        name, version = one.manifest.name, one.manifest.version
        if model in (None, name):
            yield Offer(name, version, standing.get(name) == version, _said(project, one.path))


def _said(project: Project, archive: Path) -> Mapping[str, Any]:
    inspect(archive)  # it is about to be run
    with scratch() as folder:
        unpacked, out = folder / "unpacked", folder / "said.json"
        trust.unpack(project, archive, unpacked)
        processes.run(
            [sys.executable, "-m", "marquee.openapi", unpacked, out],
            f"{archive.name} does not load",
            env=trial.environment(unpacked),
            cwd=unpacked,
        )
        said: Mapping[str, Any] = json.loads(out.read_text())
        return said
