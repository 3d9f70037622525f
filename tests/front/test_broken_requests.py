"""Broken requests through the door to a real model; `python -m bench.fuzz_server` sends more."""

from __future__ import annotations

import httpx
import pytest

from bench.fuzz_served import asked
from tests.server.test_content_types import SHIP
from tests.support import Running

REQUESTS = 250
FORM = "multipart/form-data; boundary=x"


def test_every_broken_request_is_refused_and_nobody_dies(
    door: Running, front: httpx.Client
) -> None:
    outcome = asked(
        door.inference,
        door.keys.get("inference"),
        "cifar",
        lambda: door.worker_pids("cifar", "2.0"),
        range(REQUESTS),
        seed=20,
    )
    assert outcome.failures == []
    assert {200, 400, 415} <= outcome.statuses.keys()
    assert front.post("/predictions/cifar", content=SHIP).json()["label"] == "ship"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param("multipart/form-data; boundary=", b"--x\r\n\r\n1\r\n--x--", id="no boundary"),
        pytest.param(
            FORM, b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--", id="no name"
        ),
        pytest.param(
            FORM, b"--x\r\nContent-Disposition: form-data; name\r\n\r\n1\r\n--x--", id="half a name"
        ),
    ],
)
def test_a_form_that_torchserve_cannot_read_is_the_clients_fault(
    front: httpx.Client, kind: str, body: bytes
) -> None:
    answer = front.post("/predictions/cifar", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400, answer.text
    assert answer.json()["type"] == "BadRequestException"
    assert "boundary" in answer.json()["message"]
    assert "java" not in answer.text
