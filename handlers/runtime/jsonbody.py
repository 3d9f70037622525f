"""The inputs and parameters in a JSON body, in the forms that clients of other servers send too.

{"image": "<base64>", "<parameter>": ...}              ours
[[...], ...]                                           numbers, bare
{"instances": [...], "parameters": {...}}              KServe version 1, TensorFlow, Vertex AI
{"inputs": ...}                                        TensorFlow's columns: all of one input
{"inputs": [{"name", "shape", "datatype", "data"}]}    KServe version 2
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from handlers.runtime import jsontext
from handlers.runtime.errors import BadRequest
from handlers.runtime.looks import HEAD_BYTES, is_image
from handlers.runtime.media import JSON
from handlers.runtime.payload import from_base64
from handlers.runtime.tensors import is_tensor, read_tensor

# Names a payload may have, in multipart parts and JSON fields.
PAYLOAD_NAMES = ("image", "data", "file", "body")
# Fields that hold several.
LIST_NAMES = ("instances", "inputs")
# What an instance may be called besides, in the examples of other servers.
INSTANCE_NAMES = (*PAYLOAD_NAMES, "b64", "image_bytes", "input", "inputs")
# Of a KServe request, beside its tensors: how it is to be answered, and no parameters.
TENSOR_REQUEST_NAMES = ("id", "outputs")
# Among its parameters: how other servers are to read and answer it.
TENSOR_PARAMETERS = ("binary_data_output", "content_type", "headers")

Add = Callable[[bytes | list[Any], str], None]


@dataclass
class JsonBody:
    """What is read of a JSON body.

    Attributes:
        add: takes each input, and its media type, empty where nobody says.
        parameters: by name.
        listed: the inputs came as a list, so the answer is one as well.
        tensor_request: what a request of tensors says of its answer.
    """

    add: Add
    parameters: dict[str, Any] = field(default_factory=dict)
    listed: bool = False
    tensor_request: dict[str, Any] = field(default_factory=dict)

    def read(self, value: Any) -> None:
        """Read a whole body.

        Raises:
            BadRequest: what a field holds is no input.
        """
        if isinstance(value, dict):
            self._object(value)
        else:
            self._input("body", value)

    def _object(self, value: dict[str, Any]) -> None:
        fields = dict(value)
        lists = {name: fields.pop(name) for name in LIST_NAMES if name in fields}
        nested = fields.pop("parameters", {})
        if not isinstance(nested, dict):
            raise BadRequest("'parameters' must be a JSON object of names and values")
        for name in PAYLOAD_NAMES:
            if name in fields:
                self._input(name, fields.pop(name))
        for name, listed in lists.items():
            if name == "inputs" and _are_tensors(listed):
                named = [key for key in TENSOR_REQUEST_NAMES if key in fields]
                self.tensor_request = {key: fields.pop(key) for key in named}
                nested = {key: nested[key] for key in nested if key not in TENSOR_PARAMETERS}
            self._list(name, listed)
        self.parameters |= nested | fields

    def _list(self, name: str, values: Any) -> None:
        """Read ``instances``, or ``inputs``, which may also hold one, or a column by its name."""
        if name == "inputs" and isinstance(values, dict) and len(values) == 1:
            (inner,) = values.values()
            values = inner if isinstance(inner, list) else [values]
        elif name == "inputs" and isinstance(values, str):
            values = [values]
        if not isinstance(values, list) or not values:
            raise BadRequest(f"'{name}' must be a list with at least one input")
        self.listed = True
        for position, one in enumerate(values):
            self._instance(f"{name}[{position}]", one)

    def _instance(self, name: str, value: Any) -> None:
        if is_tensor(value):
            for data, media in read_tensor(value, name):
                self.add(data, media)
        else:
            self._input(name, _only_field(value, name) if isinstance(value, dict) else value)

    def _input(self, name: str, value: Any) -> None:
        value = _unwrapped(value)
        if isinstance(value, str):
            self.add(*from_base64(value, name))
        elif isinstance(value, list):
            self.add(value, JSON)
        else:
            raise BadRequest(
                f"'{name}' is {type(value).__name__}, expected base64 text or a nested list of "
                "numbers"
            )


def _are_tensors(values: Any) -> bool:
    return isinstance(values, list) and any(is_tensor(value) for value in values)


def _only_field(instance: dict[str, Any], name: str) -> Any:
    """Return the input of ``{"image": ...}``, or of any name where it is said to be base64."""
    field_name, value = next(iter(instance.items()), ("", None))
    named = field_name in INSTANCE_NAMES or _unwrapped(value) is not value
    if len(instance) != 1 or not named:
        raise BadRequest(
            f"'{name}' must be an object with one field of {', '.join(INSTANCE_NAMES)}; "
            "parameters are for all and go into 'parameters' beside the list"
        )
    return value


def _unwrapped(value: Any) -> Any:
    """Return the text of ``{"b64": "..."}``, anything else as it is."""
    if isinstance(value, dict) and set(value) == {"b64"}:
        return value["b64"]
    return value


class NotJson(BadRequest):
    """Text that was taken for JSON and is none."""


def parse_json(body: bytes | bytearray) -> Any:
    """Parse JSON strictly: UTF-8, no NaN, no infinities.

    Raises:
        NotJson: says where the text stops being JSON.
        BadRequest: it is empty, or holds a number that JSON does not have.
    """
    if not body or body.isspace():
        raise BadRequest("the JSON body is empty")
    try:
        return jsontext.loads(body, _refuse_constant)
    except RecursionError as error:
        raise NotJson("the JSON body is nested too deeply") from error
    except ValueError as error:
        if is_image(bytes(body[:HEAD_BYTES])):
            raise NotJson(
                "the body was sent as JSON and is an image file; send it with its own Content-Type"
            ) from error
        raise NotJson(f"the body is not valid JSON in UTF-8: {error}") from error


def _refuse_constant(name: str) -> None:
    raise BadRequest(f"the JSON body holds {name}, which is no JSON number; send finite numbers")
