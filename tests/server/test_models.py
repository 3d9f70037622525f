"""The real models through the real server: parity with the originals, versions, load."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.server.test_content_types import CIFAR, PHOTO, SHIP, npy
from tests.server.test_errors import BAD
from tests.support import GOLDEN, ROOT, Running

NPY = {"Accept": "application/x-npy"}
EXPECTED = json.loads((GOLDEN / "cifar" / "expected.json").read_text())
LOGITS = np.load(GOLDEN / "cifar" / "logits.npz")
NETWORKS = {"91.0": "lenet", "92.0": "vgg11"}
PICTURES = sorted((GOLDEN / "cifar").glob("?_*.png"))


@pytest.mark.parametrize(("version", "network"), NETWORKS.items())
def test_cifar_logits_equal_the_originals(client: httpx.Client, version: str, network: str) -> None:
    stacked = np.load(GOLDEN / "cifar" / "inputs_uint8_nchw.npy")
    answer = client.post(f"{CIFAR}/{version}", content=npy(stacked), headers=NPY)
    batch = np.load(io.BytesIO(answer.content))
    assert np.abs(batch - LOGITS[network]).max() < 1e-4
    for index, file in enumerate(PICTURES):
        answer = client.post(f"{CIFAR}/{version}", content=file.read_bytes(), headers=NPY)
        single = np.load(io.BytesIO(answer.content))
        assert np.abs(single[0] - LOGITS[network][index]).max() < 1e-4
        label = client.post(f"{CIFAR}/{version}", content=file.read_bytes()).json()["label"]
        assert label == EXPECTED[network]["top1"][index]


def test_the_body_that_the_seeds_lambda_sends(client: httpx.Client) -> None:
    body = (GOLDEN / "cifar" / "invocation_body.json").read_bytes()
    event = (GOLDEN / "cifar" / "lambda_event.json").read_bytes()
    headers = {"Content-Type": "application/json"}
    for version, network in NETWORKS.items():
        for sent in (body, event):
            answer = client.post(f"{CIFAR}/{version}", content=sent, headers=headers).json()
            assert answer["label"] == EXPECTED[network]["top1"][8]
            assert answer["probabilities"][answer["label"]] == pytest.approx(
                EXPECTED[network]["top1_probability"][8], abs=1e-4
            )


PAINTINGS = {
    "portrait.png": "portrait_expected.png",
    "landscape.jpg": "landscape_expected.png",
    "gray.png": "gray_expected.png",
    "rgba.png": "rgba_expected.png",
    "exif6.jpg": "exif6_expected.png",
}


def assert_same_painting(painted: NDArray[Any], expected: str) -> None:
    """Equal, or off by one level where a value sits on the edge of the truncation."""
    reference = np.asarray(Image.open(GOLDEN / "inkwash" / expected))
    assert painted.shape == reference.shape
    difference = np.abs(painted.astype(int) - reference.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize(("photo", "expected"), PAINTINGS.items())
def test_paintings_equal_the_originals(client: httpx.Client, photo: str, expected: str) -> None:
    body = (GOLDEN / "inkwash" / photo).read_bytes()
    # As the seed's function calls it: the type image/*, no Accept, a bare nested list back.
    request = client.build_request(
        "POST", "/predictions/inkwash/91.0", content=body, headers={"Content-Type": "image/*"}
    )
    request.headers.pop("accept")
    answer = client.send(request)
    assert answer.headers["content-type"] == "application/json"
    assert_same_painting(np.array(answer.json()), expected)


def test_the_seeds_own_reading_of_a_turned_photo(client: httpx.Client) -> None:
    body = (GOLDEN / "inkwash" / "exif6.jpg").read_bytes()
    headers = NPY | {"X-Marquee-Upright": "false"}
    answer = client.post("/predictions/inkwash/91.0", content=body, headers=headers)
    assert_same_painting(np.load(io.BytesIO(answer.content)), "exif6_expected_as_stored.png")


def test_a_painting_of_the_photos_own_size(client: httpx.Client) -> None:
    headers = {"X-Marquee-Size": "0", "Accept": "image/png"}
    answer = client.post("/predictions/inkwash", content=PHOTO, headers=headers)
    photo, painting = Image.open(io.BytesIO(PHOTO)), Image.open(io.BytesIO(answer.content))
    assert painting.size == tuple(-(-side // 4) * 4 for side in photo.size)


def test_a_painting_becomes_ink(client: httpx.Client) -> None:
    answer = client.post("/predictions/inkwash", content=PHOTO, headers={"Accept": "image/png"})
    painting = Image.open(io.BytesIO(answer.content))
    photo = Image.open(io.BytesIO(PHOTO)).resize(painting.size)

    def colourfulness(image: Image.Image) -> float:
        return float(np.asarray(image.convert("HSV"))[..., 1].mean())

    assert colourfulness(painting) < 0.5 * colourfulness(photo)
    assert np.asarray(painting.convert("L")).std() > 20


def test_cifar_in_a_batch_is_as_alone(client: httpx.Client) -> None:
    bodies = [file.read_bytes() for file in PICTURES]
    alone = [client.post(CIFAR, content=body).json() for body in bodies]
    with ThreadPoolExecutor(len(bodies)) as pool:
        together = [*pool.map(lambda body: client.post(CIFAR, content=body).json(), bodies)]
    for one, other in zip(alone, together, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_two_versions_answer_side_by_side(client: httpx.Client) -> None:
    unnamed = client.post(CIFAR, content=SHIP).json()
    first = client.post(f"{CIFAR}/1.0", content=SHIP).json()
    second = client.post(f"{CIFAR}/2.0", content=SHIP).json()
    assert unnamed == second
    assert first != second
    assert first["label"] == second["label"] == "ship"


def test_the_demo_models_know_their_own_example(client: httpx.Client) -> None:
    example = (ROOT / "handlers" / "cifar" / "example.png").read_bytes()
    first = client.post(f"{CIFAR}/1.0", content=example).json()
    second = client.post(f"{CIFAR}/2.0", content=example).json()
    assert first["label"] == second["label"]
    assert (
        min(first["probabilities"][first["label"]], second["probabilities"][second["label"]]) > 0.5
    )


def test_two_hundred_good_and_bad_in_parallel(server: Running) -> None:
    before = {v: server.worker_pids("cifar", v) for v in ("1.0", "2.0")}
    before["inkwash"] = server.worker_pids("inkwash", "1.0")
    good: list[tuple[int, str, dict[str, Any], str]]
    good = [(200, CIFAR, {"content": file.read_bytes()}, "") for file in PICTURES]
    small: dict[str, Any] = {"content": PHOTO, "headers": {"X-Marquee-Size": "64"}}
    good += [(200, "/predictions/inkwash", small, "")]
    # The 400-megapixel picture takes a second to make its way; once is enough above.
    bad = [case for name, case in BAD.items() if name != "too many pixels"]
    cases = ((good + bad) * 200)[:200]
    with server.client() as client, ThreadPoolExecutor(32) as pool:
        answers = [*pool.map(lambda case: client.post(case[1], **case[2]), cases)]
    assert [answer.status_code for answer in answers] == [case[0] for case in cases]
    after = {v: server.worker_pids("cifar", v) for v in ("1.0", "2.0")}
    after["inkwash"] = server.worker_pids("inkwash", "1.0")
    assert after == before


def test_parameters_come_in_sagemakers_custom_attributes(client: httpx.Client) -> None:
    headers = {"X-Amzn-SageMaker-Custom-Attributes": "model=cifar;X-Marquee-Top-K=2"}
    answer = client.post(CIFAR, content=SHIP, headers=headers)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["probabilities"]) == 2
    wrong = client.post(
        CIFAR,
        content=SHIP,
        headers={"X-Amzn-SageMaker-Custom-Attributes": "X-Marquee-Top-K=0"},
    )
    assert wrong.status_code == 400
    assert "'top_k' is '0'" in wrong.json()["message"]
