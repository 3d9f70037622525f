"""Batches through the real server: each request its own fate, and workers that heal."""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests.conftest import MAX_RESPONSE
from tests.server.faulty.model import FAULTS
from tests.support import Running

FAULTY = "/predictions/faulty"


def told(fault: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (FAULTS[fault], 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def together(client: httpx.Client, bodies: list[bytes], **options: Any) -> list[httpx.Response]:
    """Send requests at the same time; the model waits long enough to take them as one batch."""
    with ThreadPoolExecutor(len(bodies)) as pool:
        futures = [pool.submit(client.post, FAULTY, content=body, **options) for body in bodies]
        return [future.result() for future in futures]


def statuses(answers: list[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


def test_three_bad_ones_of_eight(server: Running, client: httpx.Client) -> None:
    before = server.worker_pids("faulty", "1.0")
    bodies = [told("none")] * 8
    bodies[1], bodies[4], bodies[6] = b"no image", told("raise in postprocess"), told("NaN in JSON")
    answers = together(client, bodies)
    assert statuses(answers) == [200, 400, 200, 200, 500, 200, 500, 200]
    assert [a.json() for a in answers if a.status_code == 200] == [{"fault": 0}] * 5
    assert all("secret" not in answer.text for answer in answers)
    assert "log" in answers[4].json()["message"]
    assert server.worker_pids("faulty", "1.0") == before


def test_each_of_a_batch_gets_its_own_type(client: httpx.Client) -> None:
    accepts = ["application/json", "image/png", "application/x-npy", "text/html"]
    with ThreadPoolExecutor(4) as pool:
        answers = [
            *pool.map(
                lambda accept: client.post(
                    FAULTY, content=told("none"), headers={"Accept": accept}
                ),
                accepts,
            )
        ]
    assert [answer.headers["content-type"] for answer in answers] == [
        *accepts[:3],
        "application/json",
    ]
    assert statuses(answers) == [200, 200, 200, 406]
    assert np.load(io.BytesIO(answers[2].content)).shape == (8, 8, 3)


def test_what_the_network_cannot_take_fails_alone(client: httpx.Client) -> None:
    bodies = [told("none"), told("raise in the network"), told("none"), told("raise in preprocess")]
    assert statuses(together(client, bodies)) == [200, 500, 200, 500]


def test_out_of_memory_halves_the_batch_until_it_fits(
    server: Running, client: httpx.Client
) -> None:
    before = server.worker_pids("faulty", "1.0")
    answers = together(client, [told("out of memory above two")] * 8)
    assert statuses(answers) == [200] * 8
    assert server.worker_pids("faulty", "1.0") == before


def test_only_what_does_not_fit_alone_is_507(client: httpx.Client) -> None:
    bodies = [told("none"), told("out of memory always"), told("none"), told("none")]
    answers = together(client, bodies)
    assert statuses(answers) == [200, 507, 200, 200]
    assert "smaller" in answers[1].json()["message"]


def test_an_answer_over_the_limit_is_refused_and_names_the_setting(
    server: Running, client: httpx.Client
) -> None:
    before = server.worker_pids("faulty", "1.0")
    answer = client.post(
        FAULTY, content=told("huge answer"), headers={"Accept": "application/x-npy"}
    )
    assert answer.status_code == 413
    assert "max_response_size" in answer.json()["message"]
    assert "TS_MAX_RESPONSE_SIZE" in answer.json()["message"]
    assert server.worker_pids("faulty", "1.0") == before


def test_two_answers_of_a_batch_may_exceed_the_limit_together(
    server: Running, client: httpx.Client
) -> None:
    before = server.worker_pids("faulty", "1.0")
    answers = together(client, [told("large answer")] * 2, headers={"Accept": "application/x-npy"})
    assert [MAX_RESPONSE // 2 < len(a.content) < MAX_RESPONSE for a in answers] == [True, True]
    assert server.worker_pids("faulty", "1.0") == before


def wait_for_new_worker(server: Running, before: list[int]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        described = server.describe("faulty", "1.0")["workers"]
        if all(w["status"] == "READY" and w["pid"] not in before for w in described):
            return
        time.sleep(0.3)
    raise AssertionError("the worker was not replaced")


def test_a_lost_device_answers_what_it_can_and_the_worker_is_replaced(
    server: Running, client: httpx.Client
) -> None:
    before = server.worker_pids("faulty", "1.0")
    answers = together(client, [b"no image", told("device lost"), told("none")])
    assert statuses(answers) == [400, 503, 503]
    assert answers[1].headers["retry-after"]
    wait_for_new_worker(server, before)
    assert client.post(FAULTY, content=told("none")).status_code == 200


def test_a_killed_worker_is_replaced(server: Running, client: httpx.Client) -> None:
    before = server.worker_pids("faulty", "1.0")
    assert client.post(FAULTY, content=told("worker killed")).status_code >= 500
    wait_for_new_worker(server, before)
    assert client.post(FAULTY, content=told("none")).status_code == 200
