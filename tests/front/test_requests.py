"""What the front door lets in, what it makes of a request, and what it answers by itself."""

import socket

import httpx
import psutil
import pytest

from tests.front.support import pixel, wait_for
from tests.server.test_content_types import SHIP
from tests.support import Running, marquee

CIFAR = "/predictions/cifar"
LIMIT = 104857600


def shape(answer: httpx.Response) -> tuple[int, str]:
    """Return an error's status and type, after a look at its shape."""
    found = answer.json()
    assert set(found) == {"code", "type", "message"}
    assert found["code"] == answer.status_code
    assert answer.headers["content-type"].startswith("application/json")
    return answer.status_code, found["type"]


def raw(running: Running, text: bytes) -> bytes:
    """Send bytes to the front door, and return all that comes back."""
    host, port = running.inference.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(text)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_request_with_a_token_is_answered(front: httpx.Client) -> None:
    answer = front.post(CIFAR, content=SHIP)
    assert answer.status_code == 200
    assert answer.json()["label"] == "ship"


@pytest.mark.parametrize("header", [None, "Bearer wrong", "bearer", "Basic YTpi"])
def test_a_request_without_a_good_token_is_refused(
    stranger: httpx.Client, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert shape(stranger.post(CIFAR, content=SHIP, headers=headers)) == (
        400,
        "InvalidKeyException",
    )


def test_each_address_has_its_own_token(door: Running, front: httpx.Client) -> None:
    token = {"Authorization": f"Bearer {door.keys.get('management')}"}
    assert front.post(CIFAR, content=SHIP, headers=token).status_code == 400
    with door.management() as management:
        assert management.get("/models").status_code == 200
        wrong = {"Authorization": f"Bearer {door.keys.get('inference')}"}
        assert shape(management.get("/models", headers=wrong)) == (400, "InvalidKeyException")


def test_no_key_is_in_a_command_line_or_log(door: Running, front: httpx.Client) -> None:
    front.post(CIFAR, content=SHIP)
    keys = [door.keys.get(kind) for kind in ("inference", "management")]
    family = psutil.Process(door.process.pid).children(recursive=True)
    words = " ".join(" ".join(one.cmdline()) for one in family)

    def logs() -> str:
        return " ".join(path.read_text() for path in door.project.logs.glob("*.log"))

    wait_for(lambda: CIFAR in logs().replace("\\/", "/"), "the request's line")
    shown = door.output.read_text()
    assert "haproxy" in words
    assert not [key for key in keys if key in words + logs() + shown]


@pytest.mark.parametrize("path", [CIFAR, "/invocations?model=cifar", "/models/cifar/invoke"])
def test_query_parameters_reach_the_model(front: httpx.Client, path: str) -> None:
    answer = front.post(path, params=None, content=SHIP)
    assert len(answer.json()["probabilities"]) == 10
    joined = f"{path}{'&' if '?' in path else '?'}top_k=3"
    assert len(front.post(joined, content=SHIP).json()["probabilities"]) == 3


def test_the_query_wins_over_a_header(front: httpx.Client) -> None:
    headers = {"X-Marquee-Top-K": "5"}
    answer = front.post(f"{CIFAR}?top_k=2", content=SHIP, headers=headers)
    assert len(answer.json()["probabilities"]) == 2
    assert len(front.post(CIFAR, content=SHIP, headers=headers).json()["probabilities"]) == 5


@pytest.mark.parametrize(
    "query", ["top_k=%zz", "top%20k=1", "top_k=1%0d%0aX-Evil:%201", "top_k=%c3%bc", "=1"]
)
def test_a_query_that_is_no_header_is_told(front: httpx.Client, query: str) -> None:
    answer = front.post(f"{CIFAR}?{query}", content=SHIP)
    assert shape(answer) == (400, "BadRequestException")
    assert "query parameter" in answer.json()["message"]


def test_an_unknown_query_parameter_is_told_by_the_model(front: httpx.Client) -> None:
    answer = front.post(f"{CIFAR}?colour=red", content=SHIP)
    assert answer.status_code == 400
    assert "unknown parameter 'colour'" in answer.json()["message"]


def test_invocations_of_several_models_want_a_name(front: httpx.Client) -> None:
    answer = front.post("/invocations", content=SHIP)
    assert shape(answer) == (400, "BadRequestException")
    assert "?model=NAME" in answer.json()["message"]
    assert "cifar,faulty" in answer.json()["message"]


@pytest.mark.parametrize("query", ["model=faulty", "model_name=faulty&model_version=2.0"])
def test_invocations_by_query(front: httpx.Client, query: str) -> None:
    assert front.post(f"/invocations?{query}", content=pixel(40)).json()["fault"] in (4, 40)


def test_invocations_by_the_header_that_sagemaker_passes_on(front: httpx.Client) -> None:
    headers = {"X-Amzn-SageMaker-Custom-Attributes": "trace=1,model=cifar"}
    assert front.post("/invocations", content=SHIP, headers=headers).json()["label"] == "ship"


def test_an_unknown_model_is_told_by_torchserve(front: httpx.Client) -> None:
    assert shape(front.post("/predictions/nobody", content=SHIP)) == (404, "ModelNotFoundException")


def test_a_request_id_is_passed_on(front: httpx.Client) -> None:
    answer = front.post(CIFAR, content=SHIP, headers={"X-Request-Id": "order-17"})
    assert answer.headers.get_list("x-request-id") == ["order-17"]


def test_every_answer_has_an_id(front: httpx.Client, stranger: httpx.Client) -> None:
    answers = [front.post(CIFAR, content=SHIP), stranger.get("/ping"), stranger.post(CIFAR)]
    ids = [answer.headers.get_list("x-request-id") for answer in answers]
    assert all(len(found) == 1 and len(found[0]) == 36 for found in ids)


def test_a_body_of_100_megabytes_goes_through(front: httpx.Client) -> None:
    head = b"P6 5912 5912 255\n"
    picture = head + bytes(5912 * 5912 * 3)
    assert LIMIT - len(picture) < 4000
    answer = front.post(CIFAR, content=picture)
    assert answer.status_code == 200, answer.text


def test_a_larger_body_is_refused_with_its_limit(front: httpx.Client) -> None:
    answer = front.post(CIFAR, content=bytes(LIMIT + 1))
    assert shape(answer) == (413, "RequestEntityTooLargeException")
    assert str(LIMIT) in answer.json()["message"]


def test_a_models_own_413_keeps_its_body(front: httpx.Client) -> None:
    answer = front.post(
        "/predictions/faulty", content=pixel(9), headers={"Accept": "application/x-npy"}
    )
    assert answer.status_code == 413
    assert "max_response_size" in answer.json()["message"]


def test_what_is_no_http_is_refused(door: Running) -> None:
    said = raw(door, b"GET /predictions/ci far HTTP/1.1\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400")
    assert b"HAProxy" not in said


def test_the_command_line_works_as_without_a_front(door: Running) -> None:
    said = marquee(door.project, "models", **door.environment)
    assert said.returncode == 0, said.stderr
    assert "faulty" in said.stdout
