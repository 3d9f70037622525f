import base64
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from handlers.runtime.errors import BadRequest, TooLarge, UnsupportedMediaType
from handlers.runtime.jsonbody import parse_json
from handlers.runtime.parameters import Parameter
from handlers.runtime.request import Interface, Request, parse_request
from handlers.runtime.stopwatch import Stopwatch

SIZE = Parameter("size", int, default=1, minimum=0, maximum=9, text="a size")
INTERFACE = Interface(("image/*",), ("application/json", "image/png"), (SIZE,), max_items=3)
B64 = base64.b64encode(b"picture").decode()


def encoded_png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 7), (1, 2, 3)).save(stream, "PNG")
    return stream.getvalue()


def bytes_tensor(texts: list[str]) -> dict[str, Any]:
    return {"name": "image", "shape": [len(texts)], "datatype": "BYTES", "data": texts}


def parsed(row: dict[str, Any], **headers: Any) -> Request:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return parse_request(row, named, INTERFACE, Stopwatch())


def data(request: Request) -> list[Any]:
    return [payload.data for payload in request.payloads]


def test_a_raw_body() -> None:
    request = parsed({"body": bytearray(b"picture")}, content_type="image/png")
    assert data(request) == [b"picture"]
    assert request.payload.content_type == "image/png"
    assert request.parameters == {"size": 1}
    assert request.accept == "application/json"


def test_header_names_are_found_in_any_spelling() -> None:
    row = {"body": bytearray(b"picture")}
    headers = {"CONTENT-TYPE": "image/png", "aCCept": "image/png", "X-MARQUEE-SIZE": "4"}
    request = parse_request(row, headers, INTERFACE, Stopwatch())
    assert (request.accept, request.parameters["size"]) == ("image/png", 4)


@pytest.mark.parametrize("body", [{"image": B64}, [[1]], B64])
def test_json_comes_as_bytes_as_text_or_parsed(body: Any) -> None:
    text = json.dumps(body)
    # TorchServe hands JSON over parsed unless decode_input_request is false, and text/* as str.
    forms: list[Any] = [text.encode(), bytearray(text.encode()), text]
    if not isinstance(body, str):
        forms.append(body)
    found = [data(parsed({"body": form}, content_type="application/json")) for form in forms]
    assert all(one == found[0] for one in found)


def test_the_body_wins_over_the_query_and_the_query_over_headers() -> None:
    row: dict[str, Any] = {"body": json.dumps({"image": B64, "size": 3}), "size": bytearray(b"2")}
    json_type = {"content_type": "application/json", "x_marquee_size": "1"}
    assert parsed(row, **json_type).parameters["size"] == 3
    row = {"body": bytearray(b"picture"), "size": bytearray(b"2")}
    assert parsed(row, x_marquee_size="1").parameters["size"] == 2


def test_the_names_that_route_a_request_are_no_parameters() -> None:
    row = {"body": bytearray(b"x"), "model_name": bytearray(b"cifar")}
    assert parsed(row).parameters == {"size": 1}


@pytest.mark.parametrize(
    "instances", [[B64, B64], [{"image": B64}, {"b64": B64}], [{"image": {"b64": B64}}, B64]]
)
def test_instances_in_the_forms_other_servers_take(instances: list[Any]) -> None:
    request = parsed({"body": {"instances": instances, "parameters": {"size": 5}}})
    assert data(request) == [b"picture", b"picture"]
    assert request.listed
    assert request.parameters["size"] == 5


def test_base64_in_all_its_spellings() -> None:
    raw = bytes(range(256))
    text = base64.b64encode(raw).decode()
    wrapped = "\r\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    url_safe = base64.urlsafe_b64encode(raw).decode()
    for form in (text, wrapped, url_safe, text.rstrip("="), f"data:image/png;base64,{text}"):
        assert data(parsed({"body": {"image": form}})) == [raw]


@pytest.mark.parametrize(
    "url",
    [
        " data:image/png;base64,{}",
        "data:image/png; base64, {}\n",
        "data:image/png;charset=utf-8;name=a%20b.png;base64,{}",
        "DATA:;BASE64,{}",
    ],
)
@pytest.mark.parametrize("escape", ["", "%{:02X}", "%{:02x}"])
def test_data_urls_in_all_their_spellings(url: str, escape: str) -> None:
    raw = encoded_png() + bytes(range(256))
    text = base64.b64encode(raw).decode()
    for letter in "+/=" if escape else "":
        text = text.replace(letter, escape.format(ord(letter)))
    assert data(parsed({"body": {"image": url.format(text)}})) == [raw]
    assert data(parsed({"body": url.format(text).encode()})) == [raw]


def test_a_data_url_names_its_type() -> None:
    with pytest.raises(UnsupportedMediaType, match="application/pdf"):
        parsed({"body": {"image": f"data:application/pdf;base64,{B64}"}})


def test_parts_keep_their_own_types() -> None:
    part = {"image": {"content-type": "image/png"}}
    headers = {"content-type": "multipart/form-data; boundary=x", **part}
    row = {"image": bytearray(b"picture"), "size": bytearray(b"2")}
    request = parse_request(row, headers, INTERFACE, Stopwatch())
    assert (data(request), request.parameters["size"]) == ([b"picture"], 2)


def test_the_inputs_of_grpc_have_names_and_no_types() -> None:
    request = parsed({"data": bytearray(b"picture"), "size": bytearray(b"2")})
    assert (data(request), request.parameters["size"]) == ([b"picture"], 2)


def test_a_compressed_body_is_told_to_come_plain() -> None:
    with pytest.raises(UnsupportedMediaType, match="gzip.*without Content-Encoding"):
        parsed({"body": bytearray(b"\x1f\x8b")}, content_encoding="gzip")


def test_a_client_header_named_like_a_part_does_no_harm() -> None:
    headers = {"content-type": "multipart/form-data; boundary=x", "image": "evil"}
    request = parse_request({"image": b"picture"}, headers, INTERFACE, Stopwatch())
    assert data(request) == [b"picture"]


@pytest.mark.parametrize(
    ("row", "error", "words"),
    [
        ({}, BadRequest, "no input"),
        ({"body": bytearray(b"")}, BadRequest, "no input"),
        ({"body": {}}, BadRequest, "no input"),
        ({"body": {"image": 3}}, BadRequest, "'image' is int"),
        ({"body": None}, BadRequest, "NoneType"),
        ({"body": {"instances": {}}}, BadRequest, "'instances' must be a list"),
        ({"body": {"instances": [{"a": 1, "b": 2}]}}, BadRequest, r"instances\[0\]"),
        ({"body": {"instances": [B64] * 4}}, TooLarge, "at most 3"),
        ({"body": {"image": B64, "parameters": []}}, BadRequest, "JSON object"),
        ({"body": {"image": B64, "colour": 1}}, BadRequest, "unknown parameter 'colour'"),
        ({"body": b"x", "extra": b"\xff"}, BadRequest, "'extra' is not text"),
    ],
)
def test_what_cannot_be_read_is_named(
    row: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        parsed(row)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"{", "line 1"),
        (b"\xff\xfe", "JSON"),
        (b"[Infinity]", "Infinity"),
        (b"[" * 200_000, "deep"),
        (b"1" * 5000, "JSON"),
    ],
)
def test_json_is_strict(body: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        parse_json(body)


def test_an_interface_extended_for_explanations() -> None:
    small = Parameter("size", int, default=0, minimum=0, maximum=3, text="a smaller size")
    steps = Parameter("steps", int, default=8, text="steps")
    extended = INTERFACE.extended(("image/png",), (small, steps))
    row = {"body": bytearray(b"picture")}
    request = parse_request(row, {"x-marquee-steps": "9"}, extended, Stopwatch())
    assert (request.accept, request.parameters) == ("image/png", {"size": 0, "steps": 9})
    with pytest.raises(BadRequest, match="'size' is '4', expected integer from 0 to 3"):
        parse_request(row, {"x-marquee-size": "4"}, extended, Stopwatch())
    with pytest.raises(BadRequest, match="unknown parameter 'steps'"):
        parse_request(row, {"x-marquee-steps": "9"}, INTERFACE, Stopwatch())
    assert [*extended.offer()["parameters"]["properties"]] == ["size", "steps"]


PNG = encoded_png()


@pytest.mark.parametrize(
    "kind",
    ["", "application/x-image", "binary/octet-stream", "application/binary", "text/plain", "*/*"],
)
@pytest.mark.parametrize(
    "body",
    [
        PNG,
        base64.b64encode(PNG),
        base64.encodebytes(PNG),
        b"data:image/png;base64," + base64.b64encode(PNG),
        json.dumps({"image": base64.b64encode(PNG).decode()}).encode(),
        b"\xef\xbb\xbf " + json.dumps([base64.b64encode(PNG).decode()][0]).encode(),
    ],
    ids=["file", "base64", "lines", "url", "json", "text"],
)
def test_types_that_say_nothing_leave_it_to_the_bytes(kind: str, body: bytes) -> None:
    assert data(parsed({"body": bytearray(body)}, content_type=kind)) == [PNG]
    part = {"file": bytearray(body)}
    form = {"content_type": "multipart/form-data; boundary=x", "file": {"content-type": kind}}
    assert data(parsed(part, **form)) == [PNG]


@pytest.mark.parametrize(
    "body", [b"[" * 3072, b'{"a": ', b"QUJD" * 9, b"A" * 3072, b'"', b"data:image/png;base64,#"]
)
def test_bytes_that_only_begin_like_text_stay_as_they_are(body: bytes) -> None:
    assert data(parsed({"body": bytearray(body)}, content_type="application/octet-stream")) == [
        body
    ]


def test_other_text_is_not_read() -> None:
    with pytest.raises(UnsupportedMediaType, match="text/plain"):
        parsed({"body": bytearray(b"words")}, content_type="text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"image": {"b64": B64}}, 1),
        ({"inputs": [B64]}, 1),
        ({"inputs": B64}, 1),
        ({"inputs": {"image": B64}}, 1),
        ({"inputs": {"any_name": [{"b64": B64}, {"b64": B64}]}}, 2),
        ({"inputs": [{"image": B64}], "parameters": {"size": 2}}, 1),
        ({"instances": [{"image_bytes": {"b64": B64}}, {"other_name": {"b64": B64}}]}, 2),
        ({"id": "7", "outputs": [], "inputs": [bytes_tensor([B64, B64])]}, 2),
        ({"inputs": [bytes_tensor([B64]), bytes_tensor([B64])]}, 2),
    ],
)
def test_the_forms_of_other_servers(body: dict[str, Any], count: int) -> None:
    request = parsed({"body": json.dumps(body).encode()}, content_type="application/json")
    assert data(request) == [b"picture"] * count
    assert request.listed == ("image" not in body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"img": B64}, "unknown field 'img'; an input is named image, data, file, body, several"),
        ({"inputs": []}, "'inputs' must be a list"),
        ({"inputs": {"a": B64, "b": B64}}, "'inputs' must be a list"),
        ({"inputs": 5}, "'inputs' must be a list"),
        ({"image": {"b64": 5}}, "'image' is int"),
        ({"image": {"b64": B64, "c": 1}}, "'image' is dict"),
        ({"instances": [{}]}, r"instances\[0\]"),
        ({"instances": [{"image": B64, "size": 2}]}, "go into 'parameters' beside"),
        ({"image": B64, "sise": 1}, "unknown parameter 'sise'; this model knows size"),
    ],
)
def test_what_is_unknown_is_told_with_what_would_do(body: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        parsed({"body": json.dumps(body).encode()}, content_type="application/json")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_json_in_other_encodings_is_refused(encoding: str) -> None:
    text = json.dumps({"image": B64, "ä": "ß"}, ensure_ascii=False).encode(encoding)
    with pytest.raises(BadRequest, match="not valid JSON in UTF-8"):
        parse_json(text)


def test_an_image_sent_as_json_is_seen() -> None:
    with pytest.raises(BadRequest, match="is an image file"):
        parsed({"body": bytearray(PNG)}, content_type="application/json")


def test_parts_that_the_server_dropped_are_missed() -> None:
    """Of two parts with one name TorchServe hands on the last; the body's length tells."""
    form: dict[str, Any] = {"content_type": "multipart/form-data; boundary=x"}
    kept = {"image": bytearray(PNG * 20), "size": bytearray(b"2")}
    whole = sum(map(len, kept.values())) + 2 * 500
    assert len(parsed(kept, **form, content_length=str(whole)).payloads) == 1
    with pytest.raises(BadRequest, match="several parts with one name"):
        parsed(kept, **form, content_length=str(whole + 2 * len(PNG * 20)))
    for odd in ("9" * 5000, "\u0663" * 5000):
        assert parsed(kept, **form, content_length=odd).payloads


def test_notes_are_each_requests_own() -> None:
    one, other = (parsed({"body": bytearray(b"picture")}) for _ in range(2))
    one.notes["picture"] = 1
    assert other.notes == {}
    assert one != parsed({"body": bytearray(b"another")})


def test_the_pictures_of_one_request_are_bounded_together() -> None:
    tight = replace(INTERFACE, max_pixels=63, max_items=99)
    body = json.dumps({"instances": [base64.b64encode(PNG).decode()] * 17}).encode()
    request = parse_request(
        {"body": body}, {"content-type": "application/json"}, tight, Stopwatch()
    )
    for payload in request.payloads[:16]:
        assert payload.image().size == (9, 7)
    with pytest.raises(TooLarge, match="send fewer at a time"):
        request.payloads[16].image()
