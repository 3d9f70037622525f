"""The paths of one model: predictions and explanations, with and without version."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from marquee.media import JSON
from marquee.openapi import bodies, failures, parameters
from marquee.openapi.served import Offer, Served

Document = dict[str, Any]
# How people want to see the answer, as the handler says: of no weight for other programs.
SHOWS = "x-marquee-shows"
ANSWER_HEADERS: Document = {
    "X-Marquee-Version": {
        "description": "who answered, such as cifar/2.0",
        "schema": {"type": "string"},
    },
    "X-Marquee-Worker": {
        "description": "the process id of the worker that did",
        "schema": {"type": "string"},
    },
    "Server-Timing": {
        "description": "milliseconds of each stage: decode, preprocess, model, postprocess, encode",
        "schema": {"type": "string"},
    },
    "x-request-id": {
        "description": "of this request in the server's logs",
        "schema": {"type": "string"},
    },
}


@dataclass
class Schemas:
    """The named schemas of a document; one that is there already gets no second name."""

    named: Document = field(default_factory=dict)

    def reference(self, name: str, schema: Any, other: str = "") -> Document:
        """Return a reference to a schema: by ``name``, or by ``other`` where that is taken."""
        chosen = name if self.named.get(name, schema) == schema else other
        self.named[chosen] = schema
        return {"$ref": f"#/components/schemas/{chosen}"}

    def alternatives(self, name: str, schema: Mapping[str, Any]) -> Document:
        """Return a reference; of an answer to one input or to a list, one to each."""
        if schema.keys() != {"anyOf"} or len(schema["anyOf"]) != 2:
            return self.reference(name, schema)
        one, several = schema["anyOf"]
        single = self.reference(name, one)
        return {"anyOf": [single, self.reference(f"{name}s", _replaced(several, one, single))]}


def _replaced(value: Any, part: Any, by: Any) -> Any:
    """Return JSON with ``by`` wherever ``part`` was."""
    if value == part:
        return by
    if isinstance(value, dict):
        return {key: _replaced(inner, part, by) for key, inner in value.items()}
    return [_replaced(inner, part, by) for inner in value] if isinstance(value, list) else value


def paths(served: Served, schemas: Schemas) -> Document:
    """Return the paths of all models."""
    made: Document = {}
    for name, offers in served.models.items():
        made |= dict(_of_model(name, offers, served, schemas))
    return made


def _of_model(
    name: str, offers: tuple[Offer, ...], served: Served, schemas: Schemas
) -> Iterator[tuple[str, Document]]:
    """Yield paths without version, for versions that are alike, and for each that is not."""
    first = offers[0]
    alike = [one.version for one in offers if one.said == first.said]
    for verb in _verbs(first):
        operation = _Operation(first, verb, served, schemas)
        yield f"/{verb}/{name}", operation.item()
        yield f"/{verb}/{name}/{{version}}", operation.item(versions=alike)
    for offer in offers:
        if offer.version not in alike:
            for verb in _verbs(offer):
                operation = _Operation(offer, verb, served, schemas, suffix=f"_{offer.version}")
                yield f"/{verb}/{name}/{offer.version}", operation.item()


def _verbs(offer: Offer) -> Iterator[str]:
    yield "predictions"
    if offer.said.get("explanations"):
        yield "explanations"


@dataclass
class _Operation:
    """``POST`` of one verb of one version.

    Attributes:
        suffix: of names that would be those of the default version otherwise.
    """

    offer: Offer
    verb: str
    served: Served
    schemas: Schemas
    suffix: str = ""

    def item(self, versions: list[str] | None = None) -> Document:
        """Return the path's item; with ``versions``, of a path that ends in one."""
        asks = "predict" if self.verb == "predictions" else "explain"
        versioned = "" if versions is None else "_version"
        operation: Document = {
            "operationId": _identifier(f"{asks}_{self.offer.model}{self.suffix}{versioned}"),
            "summary": self._summary(),
            "tags": [self.offer.model],
            "requestBody": self._body(),
            "responses": {"200": self._success()} | failures.references(front=self.served.front),
        }
        if self.offer.said.get("shows") and self.verb == "predictions":
            operation[SHOWS] = self.offer.said["shows"]
        given = [] if versions is None else [_version(versions)]
        given += parameters.outside(self._parameters, front=self.served.front)
        return {"post": operation | ({"parameters": given} if given else {})}

    @property
    def _said(self) -> Mapping[str, Any]:
        said = self.offer.said
        return said if self.verb == "predictions" else said["explanations"]

    @property
    def _parameters(self) -> parameters.Schemas:
        found: parameters.Schemas = self._said.get("parameters", {}).get("properties", {})
        return found

    def _summary(self) -> str:
        name = self.offer.model + self.suffix.replace("_", " ")
        if self.verb == "predictions":
            return f"Ask {name}"
        return f"Ask {name} what in the input led to its answer"

    def _body(self) -> Document:
        if not self.offer.known:
            return bodies.any_body(self.offer.said.get("consumes", ()))
        return bodies.body(self.offer.said, self._parameters)

    def _success(self) -> Document:
        if not self.offer.known:
            return {"description": "what the handler answers", "content": {bodies.ANYTHING: {}}}
        produces = self._said["produces"]
        text = f"As Accept says; {produces[0]} where it says nothing."
        content = {kind: {"schema": self._answer(kind)} for kind in produces}
        return {"description": text, "headers": ANSWER_HEADERS, "content": content}

    def _answer(self, kind: str) -> Document:
        if kind != JSON:
            return bodies.FILE
        schema = self._said.get("answers")
        if schema is None:
            return {}
        model = _name(self.offer.model + self.suffix)
        if self.verb == "explanations":
            return self.schemas.reference("Explanation", schema, f"{model}Explanation")
        return self.schemas.alternatives(f"{model}Answer", schema)


def _version(versions: list[str]) -> Document:
    return {
        "name": "version",
        "in": "path",
        "required": True,
        "description": "which version answers",
        "schema": {"type": "string", "enum": versions},
    }


def _identifier(text: str) -> str:
    return re.sub(r"\W", "_", text, flags=re.ASCII)


def _name(text: str) -> str:
    return "".join(word.title() for word in re.split(r"[\W_]+", text, flags=re.ASCII))
