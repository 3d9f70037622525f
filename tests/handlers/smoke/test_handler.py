"""The real handler in process: every way in and out, the original's exchange, bad input."""

from __future__ import annotations

import gzip
import io
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from handlers.runtime import jsontext
from handlers.runtime.errors import BadRequest
from handlers.runtime.exchange import Answer, Exchange
from handlers.runtime.jsonbody import parse_json
from handlers.smoke.demo.export import write_geotiff
from handlers.smoke.demo.scenes import draw
from handlers.smoke.handler import SmokeHandler
from handlers.smoke.overlay import composite
from handlers.smoke.pack import pack
from handlers.smoke.scene import check_range
from tests.handlers.smoke.test_geotiff import tiff
from tests.support import GOLDEN, ROOT

pytest.importorskip("h5py", reason="reads the original's weights")

ROOM = ROOT / "handlers" / "smoke"
SMOKE = GOLDEN / "smoke"
SCENE: NDArray[np.uint8] = np.load(SMOKE / "scene.npy")
EXPECTED: NDArray[np.float32] = np.load(SMOKE / "predictions.npz")["predictions"]
TIFF = (SMOKE / "scene.tif").read_bytes()
JSON_TYPE = {"content-type": "application/json"}
NPY_TYPE = {"content-type": "application/x-npy"}
AS_NPY = {"accept": "application/x-npy"}
AS_PNG = {"accept": "image/png"}


def started(folder: Path, weights: Path) -> SmokeHandler:
    packed = pack(weights, folder)
    (folder / "example.tif").write_bytes((ROOM / "example.tif").read_bytes())
    config = yaml.safe_load((ROOM / "model-config.yaml").read_text())
    config["marquee"].pop("curl")  # not packed: it is for the command line
    handler = SmokeHandler()
    context = SimpleNamespace(
        model_name="smoke",
        manifest={"model": {"serializedFile": packed.name}},
        model_yaml_config=config,
        metrics=None,
        system_properties={"model_dir": str(folder), "gpu_id": None, "batch_size": 8},
    )
    handler.initialize(context)
    return handler


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> SmokeHandler:
    return started(tmp_path_factory.mktemp("golden"), SMOKE / "smoke_unet.h5")


def npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def ask(handler: SmokeHandler, body: bytes, **headers: str) -> Answer:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    exchange = Exchange({"body": body}, named)
    handler.answer([exchange])
    assert exchange.answer is not None
    return exchange.answer


def asked(handler: SmokeHandler, body: bytes, headers: dict[str, str]) -> NDArray[Any]:
    answer = ask(handler, body, **headers)
    assert answer.status == 200, answer.body
    if answer.content_type == "application/json":
        return np.asarray(json.loads(answer.body)["predictions"])
    return np.asarray(np.load(io.BytesIO(answer.body)))


def test_the_originals_exchange(handler: SmokeHandler) -> None:
    body = gzip.decompress((SMOKE / "request.json.gz").read_bytes())
    there = json.loads(gzip.decompress((SMOKE / "response.json.gz").read_bytes()))
    answer = ask(handler, body, **JSON_TYPE)
    assert answer.content_type == "application/json"
    here = json.loads(answer.body)
    assert set(here) == {"predictions"}
    found, expected = np.asarray(here["predictions"]), np.asarray(there["predictions"])
    assert found.shape == expected.shape == (1, 256, 256, 1)
    assert np.abs(found - expected).max() < 1e-4


FORMS: dict[str, tuple[bytes, dict[str, str]]] = {
    "npy": (npy(SCENE), NPY_TYPE),
    "npy without a type": (npy(SCENE), {}),
    "npy of floats, N = 1": (npy(SCENE[None].astype(np.float64)), NPY_TYPE),
    "npy in Fortran's order": (npy(np.asfortranarray(SCENE)), NPY_TYPE),
    "npy of int64, big-endian": (npy(SCENE.astype(">i8")), NPY_TYPE),
    "list of rank 3": (json.dumps(SCENE.tolist()).encode(), JSON_TYPE),
    "instances": (json.dumps({"instances": [SCENE.tolist()]}).encode(), JSON_TYPE),
    "GeoTIFF": (TIFF, {"content-type": "image/tiff"}),
    "GeoTIFF without a type": (TIFF, {}),
    "GeoTIFF of six bands": (tiff(SCENE.astype(np.uint16)), {}),
    "GeoTIFF of floats": (tiff(SCENE.astype(np.float32), ">", tile=128), {}),
}


@pytest.mark.parametrize(("body", "headers"), FORMS.values(), ids=FORMS)
def test_every_form_of_a_tile(handler: SmokeHandler, body: bytes, headers: dict[str, str]) -> None:
    found = asked(handler, body, headers | AS_NPY)
    assert found.dtype == np.float32
    assert found.shape == (1, 256, 256, 1)
    assert np.abs(found - EXPECTED).max() < 1e-4


@pytest.mark.slow
def test_several_tiles_and_several_requests_are_one_batch(handler: SmokeHandler) -> None:
    tiles = np.stack([SCENE, SCENE[::-1], SCENE[:, ::-1]])
    together = asked(handler, npy(tiles), AS_NPY)
    exchanges = [Exchange({"body": npy(tile)}, dict(AS_NPY)) for tile in tiles]
    exchanges.insert(1, Exchange({"body": b"broken"}, dict(AS_NPY)))
    handler.answer(exchanges)
    statuses = [exchange.answer.status for exchange in exchanges if exchange.answer]
    assert statuses == [200, 400, 200, 200]
    for found, tile in zip(together, tiles, strict=True):
        assert np.abs(found - asked(handler, npy(tile), AS_NPY)[0]).max() < 1e-5
    good = [exchange.answer for exchange in exchanges if exchange.answer][2]
    assert np.abs(np.load(io.BytesIO(good.body)) - together[1]).max() < 1e-5


def test_random_numbers_as_the_originals_own_check_sends_them(handler: SmokeHandler) -> None:
    noise = np.random.default_rng(0).normal(size=(1, 256, 256, 6))
    as_json = asked(handler, json.dumps(noise.tolist()).encode(), JSON_TYPE)
    as_npy = asked(handler, npy(noise), AS_NPY)
    assert np.isfinite(as_json).all()
    assert np.abs(as_json - as_npy).max() < 1e-6
    # Cast to bytes or divided by 255 they would be all alike.
    assert np.abs(as_npy - asked(handler, npy(np.zeros_like(noise)), AS_NPY)).max() > 1e-4


def test_a_larger_scene(handler: SmokeHandler) -> None:
    scene, _ = draw(np.random.default_rng(1), 300, 420)
    found = asked(handler, npy(scene), AS_NPY)
    assert found.shape == (1, 300, 420, 1)
    twice = asked(handler, npy(np.stack([scene, scene]).astype(np.float32)), AS_NPY)
    assert np.abs(twice - found).max() < 1e-6


def picture(handler: SmokeHandler, body: bytes, **headers: str) -> NDArray[np.uint8]:
    answer = ask(handler, body, accept="image/png", **headers)
    assert answer.status == 200, answer.body
    return np.asarray(Image.open(io.BytesIO(answer.body)))


def test_the_overlay_colours_what_the_originals_client_shows(handler: SmokeHandler) -> None:
    plain = np.asarray(Image.open(SMOKE / "rgb_composite.png").convert("RGB"))
    shown = np.asarray(Image.open(SMOKE / "mask_50of255.png").convert("L")) > 0
    drawn = picture(handler, TIFF)
    assert drawn.shape == (256, 256, 3)
    assert np.array_equal((drawn != plain).any(axis=-1), shown)
    inside = drawn[shown].astype(int)
    assert (inside[:, 0] > inside[:, 2]).mean() > 0.99
    half = np.asarray(Image.open(SMOKE / "mask_half.png").convert("L")) > 0
    drawn = picture(handler, TIFF, x_marquee_threshold="0.5")
    assert np.array_equal((drawn != plain).any(axis=-1), half)
    assert np.array_equal(picture(handler, TIFF, x_marquee_opacity="0"), plain)


def test_the_composite_is_the_originals() -> None:
    plain = np.asarray(Image.open(SMOKE / "rgb_composite.png").convert("RGB"))
    assert np.array_equal(composite(SCENE), plain)
    outside = SCENE.astype(np.float32) * 4 - 300
    assert np.array_equal(composite(outside), outside[..., [1, 2, 0]].clip(0, 255).astype(np.uint8))


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([os.system], dtype=object), allow_pickle=True)
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, a=np.zeros((2048, 2048, 6)))
    return stream.getvalue()


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(SCENE[..., :3]).save(stream, "PNG")
    return stream.getvalue()


WITH_NAN = np.where(np.arange(6) == 3, np.nan, SCENE)
BAD: dict[str, tuple[int, bytes, dict[str, str], str]] = {
    "empty": (400, b"", {}, "no input"),
    "garbage": (400, b"hello", {}, "neither a GeoTIFF nor an array"),
    "a picture": (415, png(), {"content-type": "image/png"}, "cannot read 'image/png'"),
    "a picture without a type": (400, png(), {}, "neither a GeoTIFF"),
    "five bands": (400, npy(SCENE[..., :5]), {}, "(256, 256, 5); expected (H, W, 6)"),
    "with the mask": (400, npy(np.dstack([SCENE, SCENE[..., :1]])), {}, "leave out the last"),
    "channels first": (400, npy(SCENE.transpose(2, 0, 1)), {}, "moveaxis"),
    "too small": (400, npy(SCENE[:255]), {}, "at least 256"),
    "rank 2": (400, npy(SCENE[..., 0]), {}, "(256, 256)"),
    "rank 5": (400, npy(SCENE[None, None]), {}, "(1, 1, 256, 256, 6)"),
    "0 x 0": (400, npy(np.zeros((0, 0, 6))), {}, "empty"),
    "no scenes": (400, npy(np.zeros((0, 256, 256, 6))), {}, "empty"),
    "NaN": (400, npy(WITH_NAN), {}, "NaN"),
    "infinite": (400, npy(np.where(np.isnan(WITH_NAN), np.inf, SCENE)), {}, "infinite"),
    "huge numbers": (400, npy(SCENE.astype(np.float64) * 1e30), {}, "expected bands as 0 to 255"),
    "text": (400, npy(np.full((256, 256, 6), "a")), {}, "text"),
    "complex": (400, npy(SCENE.astype(complex)), {}, "complex"),
    "booleans": (400, npy(SCENE > 9), {}, "booleans"),
    "truncated npy": (400, npy(SCENE)[:9999], {}, "truncated"),
    "pickled npy": (400, pickled(), {}, "never loaded"),
    "npz": (400, zipped(), {}, "neither a GeoTIFF"),
    "truncated TIFF": (400, TIFF[:5000], {}, "truncated"),
    "TIFF of three bands": (400, tiff(SCENE[..., :3]), {}, "has 3 bands, expected 6 or 7"),
    "TIFF with NaN": (400, tiff(WITH_NAN.astype(np.float32)), {}, "NaN"),
    "small TIFF": (400, tiff(SCENE[:99]), {}, "(99, 256, 6)"),
    "20000 x 20000": (
        413,
        tiff(np.zeros((16, 16, 7), np.uint8), t256=[20000], t257=[20000]),
        {},
        "400000000 pixels, at most",
    ),
    "65 tiles": (413, npy(np.zeros((65, 256, 256, 6), np.uint8)), {}, "at most 64"),
    "ragged JSON": (400, b"[[[1, 2], [3]]]", JSON_TYPE, "ragged"),
    "broken JSON": (400, b"[[[1,", JSON_TYPE, "not valid JSON"),
    "JSON NaN": (400, b"[[[NaN]]]", JSON_TYPE, "NaN"),
    "JSON null": (400, b"[[[null]]]", JSON_TYPE, "found null"),
    "deep JSON": (400, b"[" * 100_000, JSON_TYPE, "deep"),
    "JSON of another shape": (400, b"[[[1, 2, 3, 4, 5, 6]]]", JSON_TYPE, "at least 256"),
    "unknown parameter": (400, TIFF, {"x-marquee-colour": "red"}, "unknown parameter 'colour'"),
    "threshold": (400, TIFF, {"x-marquee-threshold": "1.5"}, "number from 0 to 1"),
    "opacity": (400, TIFF, {"x-marquee-opacity": "much"}, "'much'"),
    "picture of two": (400, npy(np.stack([SCENE, SCENE])), AS_PNG, "one scene, 2 were sent"),
    "JPEG asked": (406, TIFF, {"accept": "image/jpeg"}, "expected one of"),
}


@pytest.mark.parametrize(("status", "body", "headers", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_named(
    handler: SmokeHandler, status: int, body: bytes, headers: dict[str, str], words: str
) -> None:
    answer = ask(handler, body, **headers)
    said = json.loads(answer.body)
    assert answer.status == said["code"] == status, said
    assert words in said["message"]


def test_json_is_the_same_without_the_fast_library(
    handler: SmokeHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = asked(handler, npy(SCENE), {})
    monkeypatch.setattr(jsontext, "fast", lambda: None)
    slow = asked(handler, npy(SCENE), {})
    assert np.array_equal(fast.astype(np.float32), slow.astype(np.float32))
    assert parse_json(b"[[1, 2.5]]") == [[1, 2.5]]


@pytest.mark.slow
def test_the_demo_model_finds_smoke_in_scenes_it_has_not_seen(tmp_path: Path) -> None:
    demo = started(tmp_path, ROOM / "demo" / "smoke.pth")
    rng = np.random.default_rng(77)
    common = either = 0
    for _ in range(8):
        scene, truth = draw(rng)
        write_geotiff(tmp_path / "scene.tif", scene)
        found = asked(demo, (tmp_path / "scene.tif").read_bytes(), AS_NPY)[0, ..., 0] >= 0.5
        common += int((found & truth).sum())
        either += int((found | truth).sum())
    assert common / either >= 0.80


def test_half_precision_refuses_what_it_cannot_hold() -> None:
    scenes = np.zeros((1, 256, 256, 6), np.float32)
    scenes[0, 0, 0, 0] = 1e6
    check_range(scenes, "fp32")
    check_range(scenes.astype(np.uint8), "fp16")
    check_range(np.clip(scenes, -9999, 9999), "fp16")
    with pytest.raises(BadRequest, match=r"0 to 1e\+06, and this server runs .* in fp16.* 65504"):
        check_range(scenes, "fp16")
