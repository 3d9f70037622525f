"""The handler in process: every way in and out, batches, sizes, errors."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from handlers.rotifer import pictures, regions
from handlers.rotifer.cfg import ConfigError
from handlers.rotifer.handler import RotiferHandler
from handlers.runtime.errors import InsufficientMemory
from handlers.runtime.exchange import Answer, Exchange
from handlers.runtime.settings import SettingsError
from handlers.runtime.worker import LoadError
from tests.handlers.rotifer.support import GOLDEN, answers, ask, golden_files, loaded, pixels

PICTURE = (GOLDEN / "field_a.png").read_bytes()
B64 = base64.b64encode(PICTURE).decode()
NAMES = ["Ciliates", "Clumps", "Dead", "One-Egg-Carrier", "Rotifer", ""]


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> RotiferHandler:
    return loaded(golden_files(tmp_path_factory.mktemp("archive"), "tiny5"))


def png(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", **options)
    return stream.getvalue()


def said(answer: Answer, status: int) -> str:
    assert answer.status == status, answer.body
    return str(json.loads(answer.body)["message"])


def found(answer: Answer) -> list[Any]:
    assert answer.status == 200, answer.body
    return [*json.loads(answer.body)["detections"]]


def test_every_way_in_gives_the_same_answer(handler: RotiferHandler) -> None:
    multipart = {"content-type": "multipart/form-data; boundary=x"}
    exchanges = [
        Exchange({"body": PICTURE}),
        Exchange({"body": PICTURE}, {"content-type": "image/png"}),
        Exchange(
            {"body": {"image": B64, "filename": "test.jpg"}}, {"content-type": "application/json"}
        ),
        Exchange({"image": PICTURE, "filename": b"a.png"}, multipart),
        Exchange({"file": PICTURE, "auto_crop": b"0"}, multipart),
    ]
    bodies = [answer.body for answer in answers(handler, exchanges)]
    wanted = json.loads(bodies[0])
    assert list(wanted) == ["img", "stat", "detections"]
    assert list(wanted["stat"]) == NAMES
    for body in bodies[1:]:
        answer = json.loads(body)
        assert answer["stat"] == wanted["stat"]
        assert len(answer["detections"]) == len(wanted["detections"])


def test_a_detection(handler: RotiferHandler) -> None:
    answer = json.loads(ask(handler, PICTURE).body)
    first = answer["detections"][0]
    assert list(first) == ["class", "class_id", "probability", "box"]
    assert (first["class"], first["class_id"], len(first["box"])) == ("One-Egg-Carrier", 3, 4)
    assert sum(answer["stat"].values()) == len(answer["detections"]) == 52
    picture = Image.open(io.BytesIO(base64.b64decode(answer["img"])))
    assert (picture.format, picture.size) == ("JPEG", (437, 331))


def test_nothing_found_names_every_class(handler: RotiferHandler) -> None:
    answer = json.loads(ask(handler, PICTURE, x_marquee_thresh="1").body)
    assert answer["stat"] == dict.fromkeys(NAMES, 0)
    assert answer["detections"] == []


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/*", "JPEG"),
        ("image/jpeg", "JPEG"),
        ("image/png", "PNG"),
        ("image/png, */*;q=0.1", "PNG"),
    ],
)
def test_the_picture_alone(handler: RotiferHandler, accept: str, kind: str) -> None:
    answer = ask(handler, PICTURE, accept=accept)
    assert answer.content_type == f"image/{kind.lower()}"
    assert Image.open(io.BytesIO(answer.body)).format == kind


def test_thresh_and_nms(handler: RotiferHandler) -> None:
    few = found(ask(handler, PICTURE, x_marquee_thresh="0.5"))
    assert [d["probability"] > 0.5 for d in few] == [True] * 8
    strict = found(ask(handler, PICTURE, x_marquee_nms="0.05"))
    loose = found(ask(handler, PICTURE, x_marquee_nms="1"))
    assert len(strict) < 52 < len(loose) == 85


def test_auto_crop_answers_in_the_cropped_picture(handler: RotiferHandler) -> None:
    body = (GOLDEN / "dish.png").read_bytes()
    cropped = ask(handler, body, accept="image/png", x_marquee_auto_crop="1")
    assert Image.open(io.BytesIO(cropped.body)).size == (341, 297)
    alone = png(pixels("dish.png")[39 : 39 + 297, 122 : 122 + 341])
    assert ask(handler, alone, accept="image/png").body == cropped.body


def test_auto_crop_without_colour_is_422(
    handler: RotiferHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = png(np.full((50, 60), 99, np.uint8))
    answer = ask(handler, grey, x_marquee_auto_crop="true")
    assert "no coloured region" in said(answer, 422)
    monkeypatch.setattr(regions, "MAX_RUNS", 3)
    answer = ask(handler, PICTURE, x_marquee_auto_crop="true")
    assert "more than 3 pieces" in said(answer, 422)


def test_exif_orientation_is_applied_on_request_only(handler: RotiferHandler) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = png(pixels("field_a.png"), exif=exif)
    sizes = [
        Image.open(io.BytesIO(ask(handler, turned, accept="image/png", **headers).body)).size
        for headers in ({}, {"x_marquee_upright": "1"})
    ]
    assert sizes == [(437, 331), (331, 437)]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16"])
def test_pictures_of_every_mode(handler: RotiferHandler, mode: str) -> None:
    picture = Image.fromarray(pixels("field_a.png"))
    sent = (
        picture.convert("L").convert("I").convert(mode) if mode == "I;16" else picture.convert(mode)
    )
    stream = io.BytesIO()
    sent.save(stream, "PNG")
    assert ask(handler, stream.getvalue()).status == 200


def test_eight_in_one_batch_are_eight_singles(handler: RotiferHandler) -> None:
    names = ["field_a.png", "field_b.png", "field_c.jpg", "dish.png"] * 2
    bodies = [(GOLDEN / name).read_bytes() for name in names]
    together = answers(handler, [Exchange({"body": body}) for body in bodies])
    for body, answer in zip(bodies, together, strict=True):
        alone = ask(handler, body)
        assert json.loads(alone.body)["stat"] == json.loads(answer.body)["stat"]
        for one, other in zip(found(alone), found(answer), strict=True):
            assert abs(one["probability"] - other["probability"]) < 1e-5
            assert np.abs(np.subtract(one["box"], other["box"])).max() < 5e-3


def test_a_bad_item_leaves_its_batch_mates_alone(handler: RotiferHandler) -> None:
    exchanges = [Exchange({"body": PICTURE}), Exchange({"body": b"no picture"})]
    good, bad = answers(handler, [*exchanges, Exchange({"body": PICTURE})])[:2]
    assert good.status == 200
    assert "no image that can be read" in said(bad, 400)


@pytest.mark.parametrize(
    ("row", "headers", "status", "words"),
    [
        ({"body": b""}, {}, 400, "holds no input"),
        ({"body": PICTURE[:5000]}, {}, 400, "truncated"),
        ({"body": b"a text"}, {"content-type": "text/plain"}, 415, "text/plain"),
        ({"body": PICTURE}, {"accept": "text/html"}, 406, "text/html"),
        ({"body": PICTURE}, {"x-marquee-thresh": "0"}, 400, "from 0.001 to 1"),
        ({"body": PICTURE}, {"x-marquee-thresh": "nan"}, 400, "thresh"),
        ({"body": PICTURE}, {"x-marquee-nms": "-0.1"}, 400, "from 0 to 1"),
        ({"body": PICTURE}, {"x-marquee-auto-crop": "maybe"}, 400, "boolean"),
        ({"body": PICTURE}, {"x-marquee-size": "9"}, 400, "unknown parameter 'size'"),
        ({"body": {"image": "*"}}, {"content-type": "application/json"}, 400, "base64"),
        ({"body": {"image": [[1]]}}, {"content-type": "application/json"}, 415, "image files"),
        ({"body": {"filename": "a.jpg"}}, {"content-type": "application/json"}, 400, "no input"),
        ({"body": {"image": 5}}, {"content-type": "application/json"}, 400, "'image' is int"),
        ({"body": {"instances": [B64] * 2}}, {"content-type": "application/json"}, 400, "2 were"),
    ],
)  # fmt: skip
def test_bad_requests(
    handler: RotiferHandler, row: dict[str, Any], headers: dict[str, str], status: int, words: str
) -> None:
    (answer,) = answers(handler, [Exchange(row, headers)])
    assert words in said(answer, status)


def test_too_many_pixels(tmp_path: Path) -> None:
    small = loaded(golden_files(tmp_path, "tiny5"), max_pixels=1000)
    assert "437 x 331" in said(ask(small, PICTURE), 413)


def test_a_threshold_that_lets_everything_pass(tmp_path: Path) -> None:
    many = loaded(golden_files(tmp_path, "tiny5"), options={"width": 1536, "height": 1536})
    message = said(ask(many, PICTURE, x_marquee_thresh="0.001"), 422)
    assert "boxes pass the threshold, at most 20000" in message
    assert "higher thresh" in message


def test_width_and_height_by_configuration(tmp_path: Path) -> None:
    folder = golden_files(tmp_path, "tiny5")
    smaller = loaded(folder, options={"width": 192, "height": 128})
    # The same as another .cfg, which needs no word of configuration.
    cfg = folder / "rotifer.cfg"
    text = cfg.read_text().replace("width=256", "width=192").replace("height=256", "height=128")
    cfg.write_text(text)
    assert found(ask(smaller, PICTURE)) == found(ask(loaded(folder), PICTURE))
    one_side = loaded(golden_files(tmp_path / "b", "tiny5"), options={"height": 128})
    assert ask(one_side, PICTURE).status == 200


def test_the_size_must_be_a_multiple(tmp_path: Path) -> None:
    folder = golden_files(tmp_path, "tiny5")
    with pytest.raises(ConfigError, match=r"options\.width is 250; .* multiple of 32, such as 256"):
        loaded(folder, options={"width": 250})
    with pytest.raises(ConfigError, match=r"options\.height is 10; .*, such as 32"):
        loaded(folder, options={"height": 10})


@pytest.mark.parametrize("value", [0, -32, "256", True, 256.0, None])
def test_the_size_must_be_a_number(tmp_path: Path, value: Any) -> None:
    with pytest.raises(SettingsError, match=r"options\.width is .*, expected a positive"):
        loaded(golden_files(tmp_path, "tiny5"), options={"width": value})


def test_unknown_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"options\.depth is unknown; known are width, height"):
        loaded(golden_files(tmp_path, "tiny5"), options={"depth": 3})


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(), MemoryError(), RuntimeError("DefaultCPUAllocator: no")]
)
def test_out_of_memory_says_what_to_lower(
    handler: RotiferHandler, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(batch: torch.Tensor) -> None:
        raise error

    monkeypatch.setattr(handler.network, "forward", fail)
    both = answers(handler, [Exchange({"body": PICTURE}), Exchange({"body": PICTURE})])
    for answer in both:
        assert "lower marquee.options.width and height" in said(answer, InsufficientMemory.status)


def test_another_failure_of_the_network_is_no_memory_failure(
    handler: RotiferHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(batch: torch.Tensor) -> None:
        raise RuntimeError("shape")

    monkeypatch.setattr(handler.network, "forward", fail)
    assert "server's log" in said(ask(handler, PICTURE), 500)


def test_a_bad_example_stops_the_loading(tmp_path: Path) -> None:
    folder = golden_files(tmp_path, "tiny5")
    shutil.copyfile(GOLDEN / "rotifer.names", folder / "example.png")
    with pytest.raises(LoadError, match=r"example\.png"):
        loaded(folder)


@pytest.mark.parametrize("size", [(70_000, 16), (16, 70_000)])
def test_a_picture_too_long_for_jpeg_is_drawn_as_png(
    handler: RotiferHandler, size: tuple[int, int]
) -> None:
    body = png(np.full((size[1], size[0], 3), 120, np.uint8))
    answer, asked = answers(
        handler, [Exchange({"body": body}), Exchange({"body": body}, {"accept": "image/jpeg"})]
    )
    assert answer.status == 200
    with Image.open(io.BytesIO(base64.b64decode(json.loads(answer.body)["img"]))) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", size)
    assert "at most 65500 a side; ask for image/png" in said(asked, 406)


def test_outlines_without_end_are_not_drawn(
    handler: RotiferHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(handler, PICTURE).status == 200
    monkeypatch.setattr(pictures, "MAX_OUTLINES", 1000)
    assert "ask with a higher thresh, or a lower nms" in said(ask(handler, PICTURE), 422)
