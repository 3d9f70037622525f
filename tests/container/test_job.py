"""A training job's files and variables, and the whole of a small job."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from marquee.archives import reader
from marquee.container.job import Job
from marquee.errors import MarqueeError
from tests.support import clean_environment

pytestmark = pytest.mark.slow

SMALL = {"drawn": "60", "batch_size": "20", "network": '"lenet"', "width": "4"}


def make_job(base: Path, hyperparameters: dict[str, Any], **files: object) -> Job:
    job = Job(base)
    job.config.mkdir(parents=True)
    (job.config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    for name, content in files.items():
        (job.config / f"{name}.json").write_text(json.dumps(content))
    return job


def train(job: Job, temp: Path) -> subprocess.Popen[str]:
    temp.mkdir(exist_ok=True)
    environment = clean_environment(
        TEMP=str(temp), SAGEMAKER_BASE_DIR=str(job.base), OMP_NUM_THREADS="1"
    )
    return subprocess.Popen(
        [sys.executable, "-m", "marquee.container", "train"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_hyperparameters_become_options(tmp_path: Path) -> None:
    given = {"network": '"lenet"', "lr": "0.01", "epochs": "3", "sagemaker_program": '"t.py"'}
    job = make_job(tmp_path, given)
    assert job.arguments("pictures") == ["--network=lenet", "--lr=0.01", "--epochs=3"]


def test_the_only_channel_has_the_pictures(tmp_path: Path) -> None:
    job = make_job(tmp_path, {}, inputdataconfig={"cifar": {"TrainingInputMode": "File"}})
    job.checkpoints.mkdir()
    assert job.arguments("pictures") == [
        f"--data-dir={tmp_path}/input/data/cifar",
        f"--checkpoint-dir={tmp_path}/checkpoints",
    ]


def test_variables_of_a_training_script(tmp_path: Path) -> None:
    job = make_job(
        tmp_path,
        {"batch-size": "4"},
        inputdataconfig={"training": {}, "more-data": {}},
        resourceconfig={"hosts": ["algo-1"], "current_host": "algo-1"},
    )
    variables = job.variables()
    assert variables["SM_MODEL_DIR"] == f"{tmp_path}/model"
    assert variables["SM_CHANNEL_MORE_DATA"] == f"{tmp_path}/input/data/more-data"
    assert json.loads(variables["SM_CHANNELS"]) == ["more-data", "training"]
    assert variables["SM_HP_BATCH_SIZE"] == "4"
    assert json.loads(variables["SM_HPS"]) == {"batch-size": "4"}
    assert (variables["SM_CURRENT_HOST"], json.loads(variables["SM_HOSTS"])) == (
        "algo-1",
        ["algo-1"],
    )
    assert job.arguments("pictures") == ["--batch-size=4"]  # SM_CHANNEL_TRAINING says the rest


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"inputdataconfig": {"a": {}, "b": {}}},
            "channels a, b; expected one called 'training' with pictures",
        ),
        ({"inputdataconfig": {"a": {"TrainingInputMode": "Pipe"}}}, "input mode Pipe"),
        ({"inputdataconfig": ["a"]}, "holds list, expected a JSON object"),
    ],
)
def test_a_job_that_cannot_be_run(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    with pytest.raises(MarqueeError, match=message):
        make_job(tmp_path, {}, **files).arguments("pictures")


def test_a_job_leaves_weights_and_an_archive_of_them(trained: Path) -> None:
    assert sorted(path.name for path in trained.iterdir()) == [
        "cifar-1.0.mar",
        "final.pth",
        "training_log.txt",
    ]
    assert reader.read(trained / "cifar-1.0.mar").name == "cifar"
    with zipfile.ZipFile(trained / "cifar-1.0.mar") as archive:
        assert archive.read("final.pth") == (trained / "final.pth").read_bytes()


@pytest.mark.parametrize(
    ("given", "extra", "message"),
    [
        ({**SMALL, "epoch": "1"}, {}, "unrecognized arguments: --epoch=1"),
        ({"epochs": "1"}, {}, "no pictures"),
        (SMALL, {"resourceconfig": {"hosts": ["algo-1", "algo-2"]}}, "2 instances"),
    ],
)
def test_a_failed_job_leaves_the_reason(
    tmp_path: Path, given: dict[str, str], extra: dict[str, Any], message: str
) -> None:
    job = make_job(tmp_path / "ml", given, **extra)
    process = train(job, tmp_path / "temp")
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1
    assert message in (job.output / "failure").read_text()
    assert "Traceback" not in told


def test_a_job_that_is_stopped_saves_and_goes_on(tmp_path: Path) -> None:
    job = make_job(tmp_path / "ml", {**SMALL, "epochs": "100000"})
    job.checkpoints.mkdir()
    process = train(job, tmp_path / "temp")
    assert process.stderr is not None
    for line in process.stderr:
        if "Epoch: 1," in line:
            break
    os.kill(process.pid, signal.SIGTERM)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 143, told
    assert (job.checkpoints / "checkpoint.pt").is_file()
    assert not (job.output / "failure").exists()
    assert (job.model / "cifar-1.0.mar").is_file()
    (job.config / "hyperparameters.json").write_text(json.dumps({**SMALL, "epochs": "2"}))
    again = train(job, tmp_path / "temp")
    _, told = again.communicate(timeout=120)
    assert again.returncode == 0
    assert "resumed in epoch" in told
