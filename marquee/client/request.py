"""What is asked of each file, as a path and headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from marquee.errors import MarqueeError


@dataclass(frozen=True)
class Question:
    """What is asked of each file.

    Attributes:
        model, version: who answers; the default version when none is named.
        verb: ``predictions`` or ``explanations``.
        accept: media type of the answer; the model's own default when there is none.
        parameters: the model's parameters, such as ``{"top_k": "3"}``.
        content_type: media type of the files; by each one's bytes and name when there is none.
    """

    model: str
    version: str | None = None
    verb: str = "predictions"
    accept: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None

    @property
    def path(self) -> str:
        """The path of the request."""
        return "/".join(filter(None, ("", self.verb, self.model, self.version)))

    def headers(self, content_type: str) -> dict[str, str]:
        """Return the headers for a body that seems to be of this type.

        Raises:
            MarqueeError: a parameter or a type does not fit into a header.
        """
        made = {"Content-Type": self.content_type or content_type}
        made |= {"Accept": self.accept} if self.accept else {}
        for name, value in made.items():
            if not _fits(value):
                raise MarqueeError(f"{name} {value!r} is not plain ASCII, which a header needs")
        for name, value in self.parameters.items():
            if not (_fits(value) and re.fullmatch(r"[\w-]+", name, re.ASCII)):
                raise MarqueeError(
                    f"parameter {name}={value!r} is not plain ASCII, which a header needs; send "
                    "it in a JSON file with the image as base64 instead"
                )
            made[f"X-Marquee-{name.replace('_', '-').title()}"] = value
        return made


def _fits(value: str) -> bool:
    return value.isascii() and value.isprintable()
