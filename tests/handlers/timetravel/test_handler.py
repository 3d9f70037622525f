"""Requests and answers, with a tiny network."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from handlers.runtime.exchange import Exchange
from handlers.runtime.settings import SettingsError
from handlers.timetravel.handler import TimetravelHandler
from handlers.timetravel.model import AgeingNetwork
from handlers.timetravel.pack import pack
from tests.handlers.timetravel.support import (
    CROPPED,
    GOLDEN,
    ask,
    content,
    message,
    png,
    psnr,
    serve,
    tiles,
    tiny,
)

SIDE = 16


def face(side: int = 64) -> Image.Image:
    with Image.open(GOLDEN / "input.png") as stored:
        picture: Image.Image = stored.convert("RGB").resize((side, side))
        return picture


FACE = png(face())


def test_the_strip_starts_with_the_face_as_sent(handler: TimetravelHandler) -> None:
    strip = tiles(ask(handler, FACE, **CROPPED), SIDE)
    assert len(strip) == 5
    expected = face().resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    assert np.array_equal(strip[0], np.asarray(expected))


def test_a_photograph_is_aligned_by_default_where_dlib_is_not(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the container, which has what the archive has."""
    monkeypatch.setattr("handlers.timetravel.faces.find_spec", lambda name: None)
    out = tmp_path / "archive"
    out.mkdir()
    served = serve(pack(checkpoint, out))
    with Image.open(GOLDEN / "align" / "frontal.png") as stored:
        photograph = stored.convert("RGB")
    assert photograph.width != photograph.height
    strip = tiles(ask(served, png(photograph)), SIDE)
    assert len(strip) == 5
    with Image.open(GOLDEN / "align" / "frontal_aligned.png") as stored:
        wanted = stored.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    assert psnr(strip[0], np.asarray(wanted)) > 20


def test_the_array_is_what_the_clients_read(handler: TimetravelHandler) -> None:
    answer = ask(handler, FACE, **CROPPED, accept="application/x-npy")
    assert answer.content_type == "application/x-npy"
    assert answer.body.startswith(b"\x93NUMPY\x01\x00")
    assert len(answer.body) == 128 + SIDE * SIDE * 5 * 3
    assert b"'fortran_order': False" in answer.body[:128]


def test_ages_come_in_the_order_asked_for(handler: TimetravelHandler) -> None:
    both = tiles(ask(handler, FACE, **CROPPED, x_marquee_ages="80, 5,5"), SIDE)[1:]
    alone = [
        tiles(ask(handler, FACE, **CROPPED, x_marquee_ages=age), SIDE)[1] for age in ("80", "5")
    ]
    for found, expected in zip(both, [alone[0], alone[1], alone[1]], strict=True):
        assert np.abs(found.astype(int) - expected).max() <= 1
    assert not np.array_equal(alone[0], alone[1])


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
def test_the_strip_as_a_picture(handler: TimetravelHandler, kind: str) -> None:
    answer = ask(handler, FACE, **CROPPED, accept=kind)
    assert answer.content_type == kind
    picture = np.asarray(Image.open(io.BytesIO(answer.body)))
    strip = np.concatenate(tiles(ask(handler, FACE, **CROPPED), SIDE), axis=1)
    assert picture.shape == strip.shape
    assert psnr(picture, strip) > (60 if kind == "image/png" else 15)


def test_json_names_the_ages(handler: TimetravelHandler) -> None:
    body = json.dumps(
        {"image": base64.b64encode(FACE).decode(), "ages": [7, 70], "align": False}
    ).encode()
    headers = {"content-type": "application/json", "accept": "application/json"}
    answer = json.loads(ask(handler, body, **headers).body)
    assert (answer["type"], answer["side"]) == ("image/jpeg", SIDE)
    assert [entry["age"] for entry in answer["ages"]] == [7, 70]
    strip = tiles(ask(handler, FACE, **CROPPED, x_marquee_ages="7,70"), SIDE)
    parts = [answer["original"], *(entry["image"] for entry in answer["ages"])]
    for part, tile in zip(parts, strip, strict=True):
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(part))))
        assert psnr(picture, tile) > 15


def test_an_instance_is_answered_in_a_list(handler: TimetravelHandler) -> None:
    body = {"instances": [base64.b64encode(FACE).decode()], "parameters": {"align": False}}
    headers = {"content-type": "application/json", "accept": "application/json"}
    answer = json.loads(ask(handler, json.dumps(body).encode(), **headers).body)
    assert [len(one["ages"]) for one in answer["predictions"]] == [4]


def test_a_batch_gives_what_single_requests_give(handler: TimetravelHandler) -> None:
    bodies = [png(face(side)) for side in (32, 64, 100)]
    ages = ["25,35", "60", "1,99"]
    headers = [{**CROPPED, "X-Marquee-Ages": years} for years in ages]
    exchanges = [Exchange({"body": b}, h) for b, h in zip(bodies, headers, strict=True)]
    handler.answer([*exchanges, Exchange({"body": b"no picture"}, CROPPED)])
    for exchange, body, years in zip(exchanges, bodies, ages, strict=True):
        assert exchange.answer is not None
        alone = tiles(ask(handler, body, **CROPPED, x_marquee_ages=years), SIDE)
        for a, b in zip(tiles(exchange.answer, SIDE), alone, strict=True):
            assert np.abs(a.astype(int) - b).max() <= 1


def test_a_face_is_cut_out_of_a_photograph(
    handler: TimetravelHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = json.loads((GOLDEN / "align" / "cases.json").read_text())["rotated"]
    asked: list[tuple[tuple[int, int], int]] = []

    def find(image: Image.Image, index: int) -> Any:
        asked.append((image.size, index))
        return np.array(case["landmarks"])

    monkeypatch.setattr(handler, "_find_face", find)
    photograph = (GOLDEN / "align" / "rotated.png").read_bytes()
    strip = tiles(ask(handler, photograph, x_marquee_face="3"), SIDE)
    assert asked == [(Image.open(io.BytesIO(photograph)).size, 3)]
    with Image.open(GOLDEN / "align" / "rotated_aligned.png") as expected:
        cut = expected.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    assert np.abs(strip[0].astype(int) - np.asarray(cut)).max() <= 1
    aligned = (GOLDEN / "align" / "rotated_aligned.png").read_bytes()
    again = tiles(ask(handler, aligned, **CROPPED), SIDE)
    assert np.abs(strip[1].astype(int) - again[1]).max() <= 1


def truncated() -> bytes:
    return FACE[: len(FACE) // 2]


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(1 << 20))
    return stream.getvalue()


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def huge() -> bytes:
    stream = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> TimetravelHandler:
    """The handler, which takes one picture a request."""
    path = tmp_path_factory.mktemp("single") / "sam.pt"
    torch.save(content(tiny()), path)
    return serve(path, max_items=1)


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"", {}, 400, "no input"),
        (b"no picture", {}, 400, "no image"),
        (truncated(), {}, 400, "truncated"),
        (huge(), {}, 413, "far more than|20000 x 20000"),
        (bomb(), {}, 400, "no image"),
        (npy(np.zeros((64, 64, 3), np.uint8)), {}, 415, "image files"),
        (npy(np.array([{}], dtype=object)), {}, 415, "image files"),
        (FACE, {"content-type": "text/csv"}, 415, "text/csv"),
        (FACE, {"content-type": "application/x-npy"}, 415, "image/*"),
        (FACE, {"accept": "text/html"}, 406, "application/x-npy"),
        (png(face().crop((0, 0, 64, 40))), {}, 422, "64 x 40 pixels.*square"),
        (FACE, {"X-Marquee-Ages": "101"}, 400, "from 0 to 100 years"),
        (FACE, {"X-Marquee-Ages": "-1"}, 400, "'ages' is '-1'"),
        (FACE, {"X-Marquee-Ages": ""}, 400, "'ages'"),
        (FACE, {"X-Marquee-Ages": "25;35"}, 400, "'ages'"),
        (FACE, {"X-Marquee-Ages": "nan"}, 400, "'ages'"),
        (FACE, {"X-Marquee-Ages": ",".join(["1"] * 17)}, 400, "up to 16 values"),
        (FACE, {"X-Marquee-Face": "-1"}, 400, "'face'"),
        (FACE, {"X-Marquee-Align": "perhaps"}, 400, "'align'"),
        (FACE, {"X-Marquee-Agse": "20"}, 400, "unknown parameter 'agse'.*ages, align, face"),
        (b"{", {"content-type": "application/json"}, 400, "not valid JSON"),
        (b'{"ages": [20]}', {"content-type": "application/json"}, 400, "no input"),
        (b'{"image": "%%"}', {"content-type": "application/json"}, 400, "base64"),
        (b'{"image": [[1, NaN]]}', {"content-type": "application/json"}, 400, "NaN"),
        (b'{"image": [[1, 2]]}', {"content-type": "application/json"}, 415, "image files"),
        (b'{"instances": ["", ""]}', {"content-type": "application/json"}, 413, "at most 1"),
    ],
)
def test_bad_requests(
    single: TimetravelHandler, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    said = message(ask(single, body, **(CROPPED | headers)), status)
    assert re.search(words, said), said


def test_after_bad_requests_a_good_one_is_answered(single: TimetravelHandler) -> None:
    for body in (b"no picture", truncated(), bomb(), b""):
        assert ask(single, body, **CROPPED).status == 400
    assert ask(single, FACE, **CROPPED).status == 200


def test_bytes_go_to_the_network_and_one_picture_is_painted_at_a_time_on_a_cpu(
    handler: TimetravelHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[Tensor] = []
    painted: list[int] = []
    forward = handler.forward
    network = cast(AgeingNetwork, handler.network)
    hook = network.decoder.register_forward_pre_hook(lambda _, codes: painted.append(len(codes[0])))

    def seen(batch: Tensor) -> Tensor:
        batches.append(batch)
        return forward(batch)

    monkeypatch.setattr(handler._engine, "_forward", seen)
    assert ask(handler, FACE, **CROPPED, x_marquee_ages="0,40,100").status == 200
    hook.remove()
    assert [(batch.dtype, batch.shape) for batch in batches] == [(torch.uint8, (1, 6, 32, 32))]
    assert [set(plane.flatten().tolist()) for plane in batches[0][0, 3:]] == [{0}, {40}, {100}]
    assert painted == [1, 1, 1]


def test_an_unknown_option_is_refused(checkpoint: Path) -> None:
    with pytest.raises(SettingsError, match=r"options has \['age'\]; known is ages_at_once"):
        serve(checkpoint, options={"age": 1})
    with pytest.raises(SettingsError, match="ages_at_once is 0"):
        serve(checkpoint, options={"ages_at_once": 0})


def test_the_description_has_the_parameters(handler: TimetravelHandler) -> None:
    described = handler.describe()
    assert described["produces"][0] == "application/x-npy"
    assert described["parameters"]["properties"]["ages"]["default"] == (25, 35, 55, 75)
