"""A batch transform job, played against the container as SageMaker plays it.

Source: the SageMaker developer guide, "Use your own inference code with batch transform": ping,
execution parameters, then the records of each file, an ``.out`` beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from marquee.sagemaker.transform import Transform
from tests.container.hosts import ECHO, serving
from tests.handlers.script.harness import make_folder
from tests.marquee.sagemaker.support import hosting

pytestmark = pytest.mark.server
FILES = {"a.csv": b"1,2\n3,4\n5,6\n", "b.csv": b"7,8"}
CSV = "text/csv"


def job(**settings: Any) -> dict[str, Any]:
    made = hosting(instance_type="ml.c5.xlarge", environment={})
    source, target = "s3://bucket/in/", "s3://bucket/out/"
    return Transform(name="job", hosting=made, source=source, target=target, **settings).request()


def variables(request: Mapping[str, Any]) -> dict[str, str]:
    """What SageMaker sets in the container for what the request says."""
    strategies = {"SingleRecord": "SINGLE_RECORD", "MultiRecord": "MULTI_RECORD"}
    told = {
        "SAGEMAKER_BATCH_STRATEGY": strategies.get(request.get("BatchStrategy", "")),
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": request.get("MaxPayloadInMB"),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": request.get("MaxConcurrentTransforms"),
    }
    said = {name: str(value) for name, value in told.items() if value is not None}
    own: dict[str, str] = request.get("Environment", {})
    return {"SAGEMAKER_BATCH": "true"} | said | own


def bodies(content: bytes, request: Mapping[str, Any], strategy: str, most: int) -> Iterator[bytes]:
    """Yield the bodies of a file: whole, by lines, or as many lines as fit into ``most`` bytes."""
    if request["TransformInput"]["SplitType"] == "None":
        yield content
        return
    body = b""
    for line in content.splitlines(keepends=True):
        if body and (strategy == "SINGLE_RECORD" or len(body) + len(line) > most):
            yield body
            body = b""
        body += line
    yield body


def play(client: httpx.Client, request: Mapping[str, Any]) -> tuple[dict[str, bytes], int]:
    """Return what lies beside each file at the end, and how many requests it took."""
    assert client.get("/ping").status_code == 200
    told = client.get("/execution-parameters").json()
    environ = variables(request)
    strategy = environ.get("SAGEMAKER_BATCH_STRATEGY", told["BatchStrategy"])
    most = 1_000_000 * request.get("MaxPayloadInMB", told["MaxPayloadInMB"])
    headers = {"Content-Type": CSV, "Accept": CSV}
    answers: dict[str, bytes] = {}
    asked = 0
    for name, content in FILES.items():
        parts = []
        for body in bodies(content, request, strategy, most):
            answer = client.post("/invocations", content=body, headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (200, CSV), answer.text
            parts.append(answer.content)
            asked += 1
        ending = b"\n" if request["TransformOutput"]["AssembleWith"] == "Line" else b""
        answers[f"{name}.out"] = b"".join(part + ending for part in parts)
    return answers, asked


@pytest.mark.parametrize(
    ("settings", "asked", "first"),
    [
        ({}, 2, b"1,2\n3,4\n5,6\n"),
        ({"split": "Line", "assemble": "Line"}, 4, b"1,2\n\n3,4\n\n5,6\n\n"),
        ({"split": "Line", "strategy": "MultiRecord", "max_payload": 1}, 2, b"1,2\n3,4\n5,6\n"),
    ],
)
def test_a_job_finds_its_answers(
    tmp_path: Path, settings: dict[str, Any], asked: int, first: bytes
) -> None:
    echo = ECHO.replace('bytes(data), "application/octet-stream"', "data, accept")
    make_folder(tmp_path / "ml" / "model", echo)
    request = job(
        content_type=CSV, accept=CSV, environment={"SAGEMAKER_TS_BATCH_SIZE": "2"}, **settings
    )
    with serving(tmp_path / "ml", **variables(request)) as served, served.client() as client:
        answers, count = play(client, request)
        printed = served.printed()
    assert (answers, count) == ({"a.csv.out": first, "b.csv.out": answers["b.csv.out"]}, asked)
    assert answers["b.csv.out"].rstrip() == b"7,8"
    assert "is not known here" not in printed
