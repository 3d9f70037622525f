"""The example of a model's archive, as something to try it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from marquee.archives import listing, rooms
from marquee.archives.golden import ExampleRequest, example_of
from marquee.errors import MarqueeError
from marquee.media import suffix_of
from marquee.openapi.served import Offer
from marquee.project import Project

PREFIX = "x-marquee-"


@dataclass(frozen=True)
class Sample:
    """An input that a model has an answer to.

    Attributes:
        body: the file's bytes.
        name: of the file; with its folders where it lies in the project's.
        content_type: its media type.
        parameters: that it needs, as the text of headers.
    """

    body: bytes
    name: str
    content_type: str
    parameters: Mapping[str, str]


def sample_of(project: Project | None, offer: Offer) -> Sample | None:
    """Return the example of a version's archive; None where the archive is not in the store."""
    if project is None:
        return None
    try:
        found = _example(project, offer)
    except MarqueeError:
        return None  # an archive that cannot be read is told of by other commands
    if found is None:
        return None
    given = {name.lower(): value for name, value in found.headers.items()}
    kind = given.get("content-type", "application/octet-stream")
    parameters = {
        name.removeprefix(PREFIX).replace("-", "_"): value
        for name, value in given.items()
        if name.startswith(PREFIX)
    }
    return Sample(found.body, _name(project, offer, found.body, kind), kind, parameters)


def _example(project: Project, offer: Offer) -> ExampleRequest | None:
    for one in listing.scan(project.model_store).archives:
        if (one.manifest.name, one.manifest.version) == (offer.model, offer.version):
            return example_of(one.path)
    return None


def _name(project: Project, offer: Offer, body: bytes, kind: str) -> str:
    """Return the path of the room's own file, where that is what the archive has."""
    try:
        files = rooms.examples(project, offer.model, offer.version)
    except (MarqueeError, OSError):
        files = []
    for path in files:
        if path.read_bytes() == body and path.is_relative_to(project.root):
            return str(path.relative_to(project.root))
    return f"example{suffix_of(kind)}"


def named(sample: Sample | None, file: Path, name: str) -> str:
    """Return how a file is called in lines that are pasted: a sample by where it lies."""
    is_sample = sample is not None and Path(sample.name).name == name
    return sample.name if sample and is_sample and file.read_bytes() == sample.body else name
