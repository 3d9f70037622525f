"""What requests carry reaches a worker as TorchServe hands it on."""

from __future__ import annotations

import httpx
import pytest

from marquee.ray.bodies import MAX_PARTS, request_of
from marquee.ray.refusal import Refused


def carried(**sent: object) -> dict[str, bytes]:
    request = httpx.Request("POST", "http://host/", **sent)  # type: ignore[arg-type]
    made = request_of({k.lower(): v for k, v in request.headers.items()}, request.read(), "id")
    return {p["name"]: p["value"] for p in made.row("id")["parameters"]}


def test_a_plain_body_is_one_part() -> None:
    assert carried(content=b"\x00\xff") == {"body": b"\x00\xff"}
    assert carried(content=b"") == {"body": b""}


def test_the_parts_of_a_form_keep_their_bytes() -> None:
    hard = b"\r\n--x\r\n\r\n\x00" * 3
    found = carried(files={"image": ("a.png", hard, "image/png")}, data={"top_k": "2"})
    assert found == {"image": hard, "top_k": b"2"}


def test_a_part_has_its_own_type() -> None:
    head = b'Content-Disposition: form-data; name="a"\r\nContent-Type: image/png'
    body = b"--x\r\n" + head + b"\r\n\r\n1\r\n--x--"
    made = request_of({"content-type": "multipart/form-data; boundary=x"}, body, "")
    assert made.parts == (("a", "image/png", b"1"),)


def test_of_two_parts_with_one_name_the_last_counts() -> None:
    found = carried(files=[("a", ("1", b"first")), ("a", ("2", b"second"))])
    assert found == {"a": b"second"}


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=y"])
def test_a_form_that_is_cut_off_is_refused(kind: str) -> None:
    with pytest.raises(Refused, match="does not end with the boundary"):
        request_of({"content-type": kind}, b"--x\r\n\r\n1\r\n--x--", "")


def test_a_form_of_very_many_parts_is_refused() -> None:
    kind = {"content-type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    assert request_of(kind, part * (MAX_PARTS - 1) + b"--x--", "").parts == (("a", "", b"1"),)
    with pytest.raises(Refused, match=f"at most {MAX_PARTS - 1} are read"):
        request_of(kind, part * MAX_PARTS + b"--x--", "")


def test_the_fields_of_a_web_form_are_parts() -> None:
    assert carried(data={"image": "QQ==", "top_k": "2"}) == {"image": b"QQ==", "top_k": b"2"}


def test_what_is_no_web_form_is_refused() -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    with pytest.raises(Refused, match="which it is not") as refused:
        request_of(kind, b"\x89PNG\r\n", "")
    assert refused.value.status == 415
