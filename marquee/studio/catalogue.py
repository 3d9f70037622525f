"""Which models a server has, and what they declare: asked seldom, for all who look at the pages."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from marquee.errors import MarqueeError
from marquee.openapi.operations import SHOWS
from marquee.openapi.served import Descriptions, Offer, of_server
from marquee.studio.connection import Connection
from marquee.torchserve.inference import Inference

# Between two looks at the server, however many pages are open.
SECONDS = 1.0
# In a document's bodies beside a model's own types.
WRAPPERS = {"application/json", "multipart/form-data", "application/octet-stream", "*/*"}


@dataclass(frozen=True)
class Models:
    """What was found at the last look.

    Attributes:
        offers: every version that answers.
        problem: why the server could not be asked; empty where it could. ``offers`` then are
            those of the last time.
    """

    offers: tuple[Offer, ...] = ()
    problem: str = ""

    @property
    def names(self) -> list[str]:
        """The models, in the order of the alphabet."""
        return sorted({offer.model for offer in self.offers})

    def versions(self, model: str | None) -> list[str]:
        """Return a model's versions, the default one first."""
        own = [offer for offer in self.offers if offer.model == model]
        return [offer.version for offer in sorted(own, key=lambda offer: not offer.default)]

    def find(self, model: str | None, version: str | None = None) -> Offer | None:
        """Return a version of a model, the default one where none is named."""
        for offer in self.offers:
            if offer.model == model and version in (offer.version, *[None] * offer.default):
                return offer
        return next((offer for offer in self.offers if offer.model == model), None)


class Catalogue:
    """Asks a server for its models; several threads may use it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._said: Descriptions = {}
        self._asked = -SECONDS
        self._models = Models()

    def models(self) -> Models:
        """Return the models, as they were some seconds ago at the most."""
        with self._lock:
            if time.monotonic() - self._asked >= SECONDS:
                self._models = self._look()
                self._asked = time.monotonic()
            return self._models

    def _look(self) -> Models:
        try:
            return Models(tuple(self._offers()))
        except MarqueeError as error:
            return Models(self._models.offers, str(error))

    def _offers(self) -> Iterator[Offer]:
        api = self._connection.catalogue
        if api is not None:
            return of_server(api, known=self._said)
        return of_document(_document(self._connection.inference))


def _document(inference: Inference) -> Mapping[str, Any]:
    """Fetch the OpenAPI document of a front door.

    Raises:
        MarqueeError: there is none.
    """
    try:
        answer = inference.send("GET", "/openapi.json", timeout=30)
    except httpx.TransportError as error:
        raise MarqueeError(f"no server answers at {inference.address}") from error
    if answer.status_code in (401, 403):
        raise MarqueeError(
            f"{inference.address} refuses the token; give one in the variable MARQUEE_TOKEN"
        )
    try:
        found: Mapping[str, Any] = answer.json()
        found["paths"]
    except (ValueError, LookupError, TypeError) as error:
        raise MarqueeError(
            f"{inference.address}/openapi.json is no OpenAPI document (status "
            f"{answer.status_code}); a TorchServe without a front door tells what it serves at its "
            "management address: add --management-url"
        ) from error
    return found


def of_document(document: Mapping[str, Any]) -> Iterator[Offer]:
    """Yield what an OpenAPI document of ours says of each version of each model."""
    paths: Mapping[str, Any] = document["paths"]
    for path, item in paths.items():
        verb, _, rest = path.removeprefix("/").partition("/")
        model, _, version = rest.partition("/")
        if verb != "predictions" or not version:
            continue
        explained = paths.get(f"/explanations/{rest}")
        said = _said(item["post"]) | {"explanations": explained and _said(explained["post"])}
        alike = _versions(item["post"]) if version == "{version}" else [version]
        for number, name in enumerate(alike):
            yield Offer(model, name, version == "{version}" and number == 0, said)


def _versions(operation: Mapping[str, Any]) -> list[str]:
    for one in operation["parameters"]:
        if one["name"] == "version":
            return list(one["schema"]["enum"])
    return []


def _said(operation: Mapping[str, Any]) -> dict[str, Any]:
    """Return an operation as a handler's own description; nothing where it says nothing."""
    content = operation["requestBody"]["content"]
    produced = operation["responses"]["200"]["content"]
    if "multipart/form-data" not in content:
        return {}
    fields = dict(content["multipart/form-data"]["schema"]["properties"])
    del fields["image"]
    return {
        "consumes": [kind for kind in content if kind not in WRAPPERS],
        "produces": [*produced],
        "parameters": {"type": "object", "properties": fields},
        "shows": operation.get(SHOWS),
    }
