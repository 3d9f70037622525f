"""One version of one model: how it is asked, and what people see of what was asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from marquee.openapi.served import Offer
from marquee.studio import pictures, samples, shows
from marquee.studio.connection import Connection
from marquee.studio.fields import Schema
from marquee.studio.question import Question, Reply, ask
from marquee.studio.shows import JSON, Input
from marquee.studio.upload import Upload

AS_SHOWN = "the one that is shown best"
TIFF = "image/tiff"
PNG = "image/png"


class Subject:
    """One version of one model, to be asked.

    Args:
        offer: the version, with what it says of itself.
    """

    def __init__(self, connection: Connection, offer: Offer) -> None:
        self.connection, self.offer = connection, offer
        said = offer.said
        self.word: str | None = said.get("shows")
        self.consumes: Sequence[str] = said.get("consumes") or ("*/*",)
        self.produces: Sequence[str] = said.get("produces") or ()
        self.explained: Mapping[str, Any] | None = said.get("explanations")
        self.parameters = schemas_of(said)
        self.sample = samples.sample_of(connection.project, offer)

    @property
    def reads_pictures(self) -> bool:
        """Whether there is a field for pictures; GeoTIFF is none that a browser shows."""
        return any(kind.startswith("image/") and kind != TIFF for kind in self.consumes)

    @property
    def other_kinds(self) -> list[str]:
        """What it reads beside pictures."""
        pictured = self.reads_pictures
        return [kind for kind in self.consumes if not (pictured and kind.startswith("image/"))]

    @property
    def key(self) -> str:
        """By which fields are the same when the room is made anew, and keep what they hold."""
        return f"{self.offer.model} {self.offer.version}"

    def ask(self, upload: Upload, wanted: str, given: Mapping[str, str]) -> tuple[Question, Reply]:
        """Ask for a prediction.

        Args:
            wanted: a media type, or ``AS_SHOWN``.
            given: parameters, as the text of headers.
        """
        accept = shows.wanted(self.word, self.produces) if wanted == AS_SHOWN else wanted
        question = self._question(upload, "predictions", accept, given)
        return question, ask(self.connection, question)

    def explain(self, upload: Upload, given: Mapping[str, str]) -> Reply:
        """Ask what led to the answer."""
        return ask(self.connection, self._question(upload, "explanations", JSON, given))

    def _question(
        self, upload: Upload, verb: str, accept: str | None, given: Mapping[str, str]
    ) -> Question:
        version = None if self.offer.default else self.offer.version
        return Question(
            self.offer.model,
            version,
            upload.path,
            upload.name,
            verb,
            accept,
            given,
            self._type(upload),
        )

    def _type(self, upload: Upload) -> str | None:
        """Return a sample's own type, which a script may need; of other files their bytes tell."""
        sample = self.sample
        is_sample = sample and upload.path.read_bytes() == sample.body
        return sample.content_type if sample and is_sample and not self.offer.known else None

    def seen(self, upload: Upload, given: Mapping[str, str]) -> Input:
        """Return what people see of an input."""
        upright = given.get("upright", str(self._default("upright", True))).lower() == "true"
        picture = pictures.of_file(upload.path, upright=upright)
        is_array = upload.name.endswith(".npy")
        if picture is None or (is_array and self.word == "mask"):
            picture = self._own_picture(upload) or picture
        size = pictures.original_size(upload.path)
        if size and picture and (size[0] > size[1]) != (picture.width > picture.height):
            size = size[::-1]
        threshold = given.get("threshold", self._default("threshold", None))
        return Input(picture, size, 0.5 if threshold is None else float(threshold))

    def _own_picture(self, upload: Upload) -> Image.Image | None:
        """Have the model draw an input that nobody else can read, and nothing over it."""
        if "opacity" not in self.parameters or PNG not in self.produces:
            return None
        _, reply = self.ask(upload, PNG, {"opacity": "0"})
        return None if reply.problem else pictures.limited(pictures.of_bytes(reply.body))

    def _default(self, name: str, otherwise: Any) -> Any:
        return self.parameters.get(name, {}).get("default", otherwise)


def schemas_of(said: Mapping[str, Any]) -> Mapping[str, Schema]:
    found: Mapping[str, Schema] = said.get("parameters", {}).get("properties", {})
    return found
