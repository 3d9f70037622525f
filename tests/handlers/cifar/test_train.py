"""Training runs on a few drawn pictures: results, resuming, SIGTERM, options."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from handlers.cifar import train
from handlers.cifar.data import draw_dataset
from handlers.cifar.model import VGG11, LeNet, load_network
from handlers.cifar.trainer import (
    CheckpointError,
    Recipe,
    Step,
    Trainer,
    TrainingStopped,
    augment,
    build,
    evaluate,
    learning_rate,
)
from tests.handlers.cifar.test_data import write_data_set

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
SMALL = ["--drawn", "60", "--batch-size", "20", "--network", "lenet", "--width", "4"]


@pytest.fixture(autouse=True)
def no_sagemaker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in [name for name in os.environ if name.startswith("SM_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setattr(train, "SAGEMAKER_CHECKPOINTS", tmp_path / "none")


def small_trainer(seed: int = 1, width: int = 4) -> Trainer:
    recipe = Recipe("vgg11", width, 16, seed)
    return Trainer(recipe, draw_dataset(60, 1), draw_dataset(20, 2), 0.01)


def nothing() -> None:
    """Stand in for a progress bar."""


def stop_after(steps: int) -> Step:
    left = iter(range(steps - 1))

    def after_step() -> None:
        if next(left, None) is None:
            raise TrainingStopped

    return after_step


def finish(trainer: Trainer, epochs: int = 2) -> dict[str, Tensor]:
    while trainer.progress.epoch < epochs:
        trainer.run_epoch(epochs, nothing)
    return trainer.plain_state()


@pytest.mark.parametrize("network", ["lenet", "vgg11"])
def test_writes_weights_that_load_and_a_log(tmp_path: Path, network: str) -> None:
    out = tmp_path / "model"
    options = [*SMALL, "--network", network, "--epochs", "2", "--model-dir", str(out)]
    assert train.main(options) == 0
    assert isinstance(load_network(out / "final.pth"), LeNet if network == "lenet" else VGG11)
    lines = (out / "training_log.txt").read_text().splitlines()
    number = r"\d+\.\d{3}"
    epoch = rf"Epoch: \d,loss: {number},acc: {number},V: {number},VAcc: {number}"
    assert len(lines) == 3
    assert all(re.fullmatch(epoch, line) for line in lines[:2])
    assert re.fullmatch(rf"Test: {number},TAcc: {number}", lines[2])
    assert sorted(path.name for path in out.iterdir()) == ["final.pth", "training_log.txt"]


def test_learns() -> None:
    trainer = Trainer(Recipe("lenet", 16, 20, 0), draw_dataset(300, 1), draw_dataset(100, 2), 0.002)
    untrained, _ = evaluate(trainer.network, trainer.valid)
    finish(trainer, epochs=4)
    assert evaluate(trainer.network, trainer.valid)[0] < untrained - 0.3
    assert trainer.progress.best_accuracy > 0.3


def test_validates_in_evaluation_mode() -> None:
    trainer = small_trainer()
    trainer.network.train()
    evaluate(trainer.network, trainer.valid)
    before = trainer.plain_state()
    evaluate(trainer.network, trainer.valid)
    assert not trainer.network.training
    assert all(torch.equal(before[key], value) for key, value in trainer.plain_state().items())


def test_keeps_the_best_epoch_rather_than_the_last() -> None:
    trainer = small_trainer()
    trainer.run_epoch(3, nothing)
    first = trainer.plain_state()
    trainer.progress.best_accuracy = 1.0  # nothing can be better
    trainer.run_epoch(3, nothing)
    assert torch.equal(trainer.progress.best["classifier.weight"], first["classifier.weight"])
    assert not torch.equal(trainer.plain_state()["classifier.weight"], first["classifier.weight"])


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_a_resumed_run_takes_the_same_steps(tmp_path: Path, steps: int) -> None:
    straight = small_trainer()
    wanted = finish(straight)
    stopped = small_trainer()
    with pytest.raises(TrainingStopped):
        stopped.run_epoch(2, stop_after(steps))
    stopped.save(tmp_path)
    resumed = small_trainer()
    assert resumed.resume(tmp_path)
    assert resumed.progress.step == steps
    for key, value in finish(resumed).items():
        torch.testing.assert_close(value, wanted[key], msg=key)
    assert resumed.progress.log == straight.progress.log


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    small_trainer(width=4).save(tmp_path)
    with pytest.raises(CheckpointError, match=r"'width': 4.*'width': 3.*--no-resume"):
        small_trainer(width=3).resume(tmp_path)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    small_trainer().save(tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt: cannot be read"):
        small_trainer().resume(tmp_path)


def test_a_failed_save_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = small_trainer()
    trainer.save(tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def break_off(_content: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", break_off)
    with pytest.raises(OSError, match="disk full"):
        trainer.save(tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_main_goes_on_from_the_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folders = ["--model-dir", str(tmp_path / "m"), "--checkpoint-dir", str(tmp_path / "c")]
    assert train.main([*SMALL, *folders, "--epochs", "1"]) == 0
    assert train.main([*SMALL, *folders, "--epochs", "2"]) == 0
    assert "resumed in epoch 2" in caplog.text
    lines = (tmp_path / "m" / "training_log.txt").read_text().splitlines()
    assert [line[:8] for line in lines[:2]] == ["Epoch: 1", "Epoch: 2"]
    assert [line[:5] for line in lines[2:]] == ["Test:"]
    caplog.clear()
    assert train.main([*SMALL, *folders, "--epochs", "1", "--no-resume"]) == 0
    assert "resumed" not in caplog.text


def test_sigterm_saves_and_a_second_run_goes_on(tmp_path: Path) -> None:
    folders = ("--model-dir", str(tmp_path / "m"), "--checkpoint-dir", str(tmp_path / "c"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "handlers.cifar.train", *SMALL, *folders, "--epochs", "100000"],
        cwd=REPOSITORY,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        assert "Epoch: 1," in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 143
    assert f"stopped by SIGTERM; run it again to go on from the checkpoint in {tmp_path}" in rest
    assert "Traceback" not in rest
    assert (tmp_path / "m" / "final.pth").is_file()
    saved = torch.load(tmp_path / "c" / "checkpoint.pt", weights_only=True)["progress"]
    assert saved["epoch"] >= 1
    done = saved["epoch"] + 1
    assert train.main([*SMALL, *folders, "--epochs", str(done)]) == 0
    assert f"Epoch: {done}," in (tmp_path / "m" / "training_log.txt").read_text()


def test_runs_as_a_script_beside_the_package(tmp_path: Path) -> None:
    (tmp_path / "handlers").symlink_to(REPOSITORY / "handlers")
    shutil.copy(REPOSITORY / "handlers" / "cifar" / "train.py", tmp_path)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {
        "SM_MODEL_DIR": str(tmp_path / "model"),
        "SM_CHANNEL_TRAINING": str(tmp_path / "data"),
        "SM_OUTPUT_DATA_DIR": str(tmp_path / "output"),
    }
    write_data_set(tmp_path / "data" / "cifar-10-batches-py")
    options = ["--epochs", "1", "--batch_size", "5", "--lr", "0.001", "--width", "2"]
    run = subprocess.run(
        [sys.executable, "train.py", *options, "--hosts", '["algo-1"]', "--momentum", "0.9"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "without effect here: --hosts, --momentum" in run.stderr
    assert isinstance(load_network(tmp_path / "model" / "final.pth"), VGG11)
    assert (tmp_path / "output" / "training_log.txt").is_file()


def test_real_data_are_split_without_overlap(tmp_path: Path) -> None:
    write_data_set(tmp_path)
    options = train.parse(["--data-dir", str(tmp_path), "--model-dir", str(tmp_path)])
    splits = train.load_data(options)
    assert [len(labels) for _, labels in splits] == [18, 2, 4]
    pictures = torch.cat([splits.train[0], splits.valid[0]]).flatten(1)
    assert len(np.unique(pictures.numpy(), axis=0)) == 20


def test_unusable_data_end_with_a_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert train.main(["--data-dir", str(tmp_path), "--model-dir", str(tmp_path / "m")]) == 1
    assert "there is no data_batch_1" in caplog.text


def test_options_accept_underscores_and_sagemakers_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SM_MODEL_DIR", "model")
    monkeypatch.setenv("SM_CHANNEL_TRAINING", "a_folder")
    monkeypatch.setenv("SM_CHECKPOINT_DIR", "kept")
    options = train.parse(["--batch_size", "7", "--output_data_dir=o_1", "--resume", "False"])
    assert (options.batch_size, options.resume) == (7, False)
    assert (options.model_dir, options.data_dir) == (Path("model"), Path("a_folder"))
    assert (options.output_data_dir, options.checkpoint_dir) == (Path("o_1"), Path("kept"))


def test_checkpoints_go_to_sagemakers_folder_where_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train.parse([*SMALL, "--model-dir", "m"]).checkpoint_dir is None
    monkeypatch.setattr(train, "SAGEMAKER_CHECKPOINTS", tmp_path)
    assert train.parse([*SMALL, "--model-dir", "m"]).checkpoint_dir == tmp_path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([*SMALL], "--model-dir"),
        (["--model-dir", "m"], "no pictures"),
        ([*SMALL, "--model-dir", "m", "--epoch", "3"], "unrecognized arguments: --epoch"),
        ([*SMALL, "--model-dir", "m", "--epochs", "0"], "'0' is no whole number of 1 or more"),
        ([*SMALL, "--model-dir", "m", "--batch-size", "1"], "'1' is no whole number of 2"),
        ([*SMALL, "--model-dir", "m", "--lr", "fast"], "'fast' is no number above 0"),
        ([*SMALL, "--model-dir", "m", "--lr", "nan"], "'nan' is no number above 0"),
        ([*SMALL, "--model-dir", "m", "--resume", "maybe"], "neither true nor false"),
        ([*SMALL, "--model-dir", "m", "--network", "vgg"], "invalid choice: 'vgg'"),
    ],
)
def test_wrong_options_are_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        train.parse(options)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_terminal_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with train.progress_bar("epoch 1 of 2", 3) as advance:
        for _ in range(3):
            advance()
    assert "epoch 1 of 2" in capsys.readouterr().err


def test_a_log_file_gets_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with train.progress_bar("epoch 1 of 2", 3) as advance:
        advance()
    assert capsys.readouterr().err == ""


def test_augment_shifts_and_mirrors_whole_pictures() -> None:
    ramp = torch.arange(32, dtype=torch.uint8).expand(200, 3, 32, 32)  # grows to the right
    moved = augment(ramp, torch.Generator().manual_seed(0))
    middle = moved[:, 0, 16, 16].int()
    assert moved.shape == ramp.shape
    assert moved.is_contiguous(memory_format=torch.channels_last)
    rising = moved[:, 0, 16, 20].int() > middle
    assert 60 < int(rising.sum()) < 140
    assert set((middle[rising] - 16).tolist()) == {-3, -2, -1, 0, 1, 2, 3}
    assert torch.equal(moved[:, :, 0], moved[:, :, 31])  # rows of this ramp are all the same


def test_learning_rate_falls_from_the_first_to_zero() -> None:
    rates = [learning_rate(0.1, share) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(0.1)
    assert rates[2] == pytest.approx(0.05)
    assert rates[4] == pytest.approx(0, abs=1e-12)


def test_a_last_batch_of_one_picture_is_left_out() -> None:
    pictures, labels = draw_dataset(33, 1)
    trainer = Trainer(Recipe("vgg11", 2, 16, 0), (pictures, labels), (pictures, labels), 0.01)
    trainer.run_epoch(1, nothing)
    assert trainer.steps == 2


@pytest.mark.parametrize("network", ["lenet", "vgg11"])
def test_default_widths_are_the_originals(network: str) -> None:
    made = build(network, train.WIDTHS[network])
    original = LeNet() if network == "lenet" else VGG11()
    shapes = [{key: value.shape for key, value in n.state_dict().items()} for n in (made, original)]
    assert shapes[0] == shapes[1]
