"""What batch transform is told, and the variables that it sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from marquee.container.batch import execution_parameters
from marquee.container.modelstore import StoredModel
from marquee.container.variables import read, warnings

# As the developer guide has them, for a job of CreateTransformJob's own values.
JOB = {
    "SAGEMAKER_BATCH": "true",
    "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
    "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "4",
    "SAGEMAKER_MAX_PAYLOAD_IN_MB": "0",
}


@pytest.mark.parametrize("strategy", ["SINGLE_RECORD", "MULTI_RECORD"])
def test_what_a_job_sets_is_understood(strategy: str) -> None:
    environ = {**JOB, "SAGEMAKER_BATCH_STRATEGY": strategy}
    assert read(environ).max_payload_mb == 0
    assert [*warnings(environ)] == []


@pytest.mark.parametrize(
    ("at_once", "environ", "concurrent", "most"),
    [
        (1, {}, 1, 100),
        (4, {}, 4, 25),
        (4, {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "6"}, 4, 6),
        (4, {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0"}, 4, 25),
        (64, {}, 10, 10),
    ],
)
def test_files_go_side_by_side_as_far_as_they_may(
    at_once: int, environ: dict[str, str], concurrent: int, most: int
) -> None:
    models = [
        StoredModel("a", "1.0", Path("a.mar"), at_once=at_once),
        StoredModel("b", "1.0", Path("b.mar"), at_once=7),
    ]
    told = execution_parameters(read(environ), models, "a")
    assert told == {
        "MaxConcurrentTransforms": concurrent,
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": most,
    }
    assert concurrent * most <= 100  # or CreateTransformJob refuses it


def test_nobody_named_is_asked_one_by_one() -> None:
    told = execution_parameters(read({}), [], None)
    assert told is not None
    assert told["MaxConcurrentTransforms"] == 1
    assert execution_parameters(read({"SAGEMAKER_MULTI_MODEL": "true"}), [], None) is None
