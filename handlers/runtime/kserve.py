"""Answers in the forms of KServe: version 1, and version 2, the Open Inference Protocol, in JSON.

The front door says by a header in which form a request came; what is in the answer is what Accept
asks for, as everywhere. Requests of both are read as any other JSON (``jsonbody``, ``tensors``).
Source: KServe's documents "V1 Protocol" and "Open Inference Protocol (V2 Inference Protocol)".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handlers.runtime import jsontext
from handlers.runtime.arrays import Array
from handlers.runtime.errors import BadRequest, UnsupportedMediaType
from handlers.runtime.media import JSON, NPY
from handlers.runtime.result import Result
from handlers.runtime.tensors import bytes_tensor, number_tensor

HEADER = "x-kserve-protocol"
V1, V2, READY, METADATA = "v1", "v2", "v2-ready", "v2-metadata"
# Asks about the model, not for a prediction.
ABOUT = frozenset((READY, METADATA))
BINARY_HEADER = "inference-header-content-length"
PREDICTIONS, EXPLANATIONS = "predictions", "explanations"
# Any name will do for an input: a model takes one kind.
INPUT = {"name": "input", "datatype": "BYTES", "shape": [-1]}


@dataclass(frozen=True)
class Wanted:
    """How a request wants to be answered.

    Attributes:
        protocol: ``v1`` or ``v2``; empty for the model's own form.
        id: of the request, which version 2 answers with.
        outputs: the names of the tensors that version 2 is to answer; empty for all.
    """

    protocol: str = ""
    id: str = ""
    outputs: tuple[str, ...] = ()


OWN_FORM = Wanted()


@dataclass(frozen=True)
class Who:
    """The version of a model that answers."""

    name: str
    version: str


def protocol_of(named: Mapping[str, str]) -> str:
    """Return the protocol by which a request came; empty for none.

    Args:
        named: its headers, by their names in lower case.

    Raises:
        UnsupportedMediaType: its tensors come in binary, after the JSON.
    """
    protocol = named.get(HEADER, "")
    if protocol not in (V1, V2):
        return ""
    if BINARY_HEADER in named:
        raise UnsupportedMediaType(
            "tensors in binary (Inference-Header-Content-Length) are not read here; send their "
            "data in JSON, files as BYTES in base64"
        )
    return protocol


def wanted(protocol: str, tensor_request: Mapping[str, Any]) -> Wanted:
    """Return how a request wants to be answered.

    Args:
        protocol: by which it came.
        tensor_request: ``id`` and ``outputs`` of a body of tensors.

    Raises:
        BadRequest: they are not what version 2 says.
    """
    if not protocol:
        return OWN_FORM
    request_id = tensor_request.get("id", "")
    if not isinstance(request_id, str):
        raise BadRequest(f"'id' is {type(request_id).__name__}, expected a text")
    return Wanted(protocol, request_id, _names(tensor_request.get("outputs") or []))


def _names(outputs: Any) -> tuple[str, ...]:
    listed = outputs if isinstance(outputs, list) else [None]
    names = [one.get("name") if isinstance(one, dict) else None for one in listed]
    texts = tuple(name for name in names if isinstance(name, str))
    if len(texts) != len(names):
        raise BadRequest("'outputs' must be a list of objects, each with the 'name' of a tensor")
    return texts


def encode(wanted: Wanted, result: Result, media: str, who: Who, key: str = PREDICTIONS) -> bytes:
    """Return an answer's JSON.

    Args:
        wanted: how it was asked for; ``id`` is answered as it stands.
        result: what the model answered.
        media: what was asked for by Accept: JSON, numbers, or a picture.
        who: answers.
        key: what version 1 calls the answers.

    Raises:
        BadRequest: a tensor was asked for that there is not.
        ValueError: NaN or an infinity, which JSON does not have.
    """
    if wanted.protocol == V1:
        return jsontext.dumps({key: _answers(result, media)})
    tensors = {tensor["name"]: tensor for tensor in outputs(result, media, key)}
    unknown = [name for name in wanted.outputs if name not in tensors]
    if unknown:
        raise BadRequest(
            f"there is no output '{unknown[0][:60]}'; answered in {media} are {', '.join(tensors)}"
        )
    chosen = [tensors[name] for name in wanted.outputs or tensors]
    answer = {"model_name": who.name, "model_version": who.version, "id": wanted.id}
    return jsontext.dumps({**answer, "outputs": chosen})


def _answers(result: Result, media: str) -> Sequence[Any] | Array:
    """Return one answer for each input, as version 1 lists them."""
    if media == NPY:
        return result.numbers
    if media != JSON:
        return [{"b64": _base64(result, media)}]
    value = result.value
    if isinstance(value, dict) and set(value) == {PREDICTIONS}:
        answers: Sequence[Any] | Array = value[PREDICTIONS]
        return answers
    return [value]


def outputs(result: Result, media: str, key: str = PREDICTIONS) -> list[dict[str, Any]]:
    """Return an answer as version 2's tensors: numbers, or texts: JSON, or files in base64.

    ``predictions`` has a text of JSON for each input, or the numbers where it is nothing else;
    ``array`` the numbers that an ``.npy`` file would have; ``image`` a picture.
    """
    if media not in (JSON, NPY):
        return [bytes_tensor("image", [_base64(result, media)], media)]
    if media == NPY:
        return [number_tensor("array", result.numbers)]
    answers = _answers(result, media)
    if isinstance(answers, list) and len(answers) == 1 and isinstance(answers[0], np.ndarray):
        answers = answers[0][np.newaxis]
    if isinstance(answers, np.ndarray):
        return [number_tensor(key, answers)]
    texts = [jsontext.dumps(answer).decode() for answer in answers]
    more = [] if result.array is None else [number_tensor("array", result.array)]
    return [bytes_tensor(key, texts, JSON), *more]


def _base64(result: Result, media: str) -> str:
    return base64.b64encode(result.encode(media)).decode()


def described(tensors: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what there is to know of tensors ahead: names, types, and how many sides they have."""
    return [
        {key: tensor[key] for key in ("name", "datatype")} | {"shape": [-1] * len(tensor["shape"])}
        for tensor in tensors
    ]


def about(protocol: str, who: Who, tensors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what version 2 answers to a question about a model: it is ready, or its metadata."""
    if protocol == READY:
        return {"name": who.name, "ready": True}
    return {
        "name": who.name,
        "versions": [who.version],
        "platform": "pytorch_mar",
        "inputs": [INPUT],
        "outputs": list(tensors),
    }
