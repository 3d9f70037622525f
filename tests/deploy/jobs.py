"""What the tests of timetravel's jobs share."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
from PIL import Image

from tests.deploy.stage import Stage
from tests.support import GOLDEN

NAME = "stage-timetravel"
FACE = (GOLDEN / "timetravel" / "input.png").read_bytes()
SIDE = 64


def strip() -> np.ndarray[Any, Any]:
    """Return the reference's pictures side by side, as the endpoint answers: (S, 5 S, 3)."""
    known = np.load(GOLDEN / "timetravel" / "small.npz")
    face = Image.open(io.BytesIO(FACE)).convert("RGB").resize((SIDE, SIDE))
    return np.concatenate([np.asarray(face), *(known[f"img{age}"] for age in (25, 35, 55, 75))], 1)


def npy(array: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


ANSWER = npy(strip())


def upload(stage: Stage, name: str = "me.jpg", data: bytes = FACE, **more: Any) -> dict[str, Any]:
    return stage.put("TimetravelBucket", f"input/{name}", data, **more)


def submit(stage: Stage, event: dict[str, Any], run: str | None = None) -> None:
    stage.run("TimetravelSubmit", event, run)


def settle_all(stage: Stage) -> None:
    for notice in stage.work():
        stage.run("TimetravelSettle", notice)


def job(stage: Stage, name: str = "me") -> dict[str, Any]:
    status, told = get(stage, id=name)
    assert status == 200, told
    answer: dict[str, Any] = told
    return answer


def get(stage: Stage, **asked: str) -> tuple[int, Any]:
    return stage.ask("TimetravelJobs", None, httpMethod="GET", pathParameters=asked)


def failed(stage: Stage, name: str = "me") -> str:
    told = job(stage, name)
    assert (told["CompletionStatus"], told["status"]) == (-1, "failed")
    reason: str = told["reason"]
    return reason


def after(seconds: float) -> Any:
    """Return a clock that is ahead."""
    moment = time.time() + seconds
    return lambda: moment
