"""A version that is watched must not pass because nobody asked it."""

from pathlib import Path

import pytest

from marquee.archives.golden import ExampleRequest
from marquee.project import Project
from marquee.torchserve.inference import Inference
from marquee.versions.probe import RepeatedAsker


def test_questions_that_cannot_be_sent_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(_: Project) -> Inference:
        raise KeyError("inference_address")

    monkeypatch.setattr(Inference, "of", connect)
    asker = RepeatedAsker(Project(tmp_path), "m", [ExampleRequest(b"", {}, "one")], seconds=1)
    asker.start()
    asker.join(30)
    assert asker.problem == "it could not be asked (KeyError: 'inference_address')"
