"""The golden requests of rotifer, smoke and timetravel, over HTTP."""

import httpx
import pytest

from marquee.archives import golden
from marquee.project import Project
from tests.server.test_golden import problems


@pytest.mark.parametrize("model", ["rotifer", "smoke", "timetravel"])
def test_the_detectors_answer_their_own(
    detectors_project: Project, detectors_client: httpx.Client, model: str
) -> None:
    requests = golden.read(detectors_project.model_store / f"{model}-1.0.mar")
    assert len(requests) >= 2
    assert problems(detectors_client, requests, f"{model}/1.0") == []
