"""An archive's golden requests, over HTTP."""

import httpx
import pytest

from marquee.archives import golden
from tests.support import Running


def problems(client: httpx.Client, requests: list[golden.GoldenRequest], path: str) -> list[str]:
    found = []
    for one in requests:
        answer = client.post(f"/predictions/{path}", content=one.body, headers=dict(one.headers))
        content_type = answer.headers.get("content-type", "")
        found.append(one.problem(answer.status_code, content_type, answer.content))
    return [problem for problem in found if problem is not None]


@pytest.mark.parametrize("version", ["1.0", "2.0", "91.0", "92.0"])
def test_cifar_answers_its_own(server: Running, client: httpx.Client, version: str) -> None:
    requests = golden.read(server.project.model_store / f"cifar-{version}.mar")
    assert len(requests) == 2
    assert problems(client, requests, f"cifar/{version}") == []


def test_inkwash_answers_its_own(server: Running, client: httpx.Client) -> None:
    requests = golden.read(server.project.model_store / "inkwash-1.0.mar")
    assert problems(client, requests, "inkwash/1.0") == []


@pytest.mark.parametrize(("of", "asked"), [("1.0", "2.0"), ("2.0", "1.0"), ("91.0", "92.0")])
def test_another_version_fails_them(
    server: Running, client: httpx.Client, of: str, asked: str
) -> None:
    requests = golden.read(server.project.model_store / f"cifar-{of}.mar")
    assert problems(client, requests, f"cifar/{asked}")
