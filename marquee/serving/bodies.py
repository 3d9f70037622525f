"""Whether TorchServe decodes bodies before handlers get them: one switch for all models.

Ours want bytes, to say what is wrong with bad JSON, and for scripts; most other handlers were
written for what TorchServe does by itself, which is to decode JSON and text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from marquee.archives import listing
from marquee.archives.manifest import Manifest
from marquee.project import Project

SWITCH, PROPERTY = "TS_DECODE_INPUT_REQUEST", "decode_input_request"
ENVELOPE = "TS_SERVICE_ENVELOPE"


def variables(project: Project) -> dict[str, str]:
    """Return the variable that turns decoding on where nobody here wants bytes."""
    if SWITCH in os.environ:
        return {}
    ours, others = _sides(project)
    return {SWITCH: "true"} if _envelope(project) or (others and not ours) else {}


def warnings(project: Project) -> Iterator[str]:
    """Yield a sentence for models that may get what they do not expect."""
    said = (variables(project) | dict(os.environ)).get(SWITCH)
    decodes = (said or project.properties.get(PROPERTY, "true")).lower() == "true"
    envelope = _envelope(project)
    if envelope and not decodes:
        yield (
            f"the service envelope {envelope!r} needs decoded bodies, and {SWITCH} is not true: "
            "its models will fail at every request"
        )
    ours, others = _sides(project)
    if ours and others and not decodes:
        yield (
            f"{', '.join(others)} may expect decoded JSON, and get bodies as bytes, as marquee's "
            f"own models want them; {SWITCH}=true decodes for all"
        )


def is_ours(manifest: Manifest) -> bool:
    """Tell whether marquee made an archive."""
    return isinstance(manifest.content.get("marquee"), dict)


def _sides(project: Project) -> tuple[list[str], list[str]]:
    """Return the names of our models, and of others'."""
    found = [one.manifest for one in listing.scan(project.model_store).archives]
    ours = sorted({one.name for one in found if is_ours(one)})
    return ours, sorted({one.name for one in found if not is_ours(one)})


def _envelope(project: Project) -> str:
    return os.environ.get(ENVELOPE) or project.properties.get("service_envelope", "")
