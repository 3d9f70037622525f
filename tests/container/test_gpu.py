"""What the container says of a GPU at start, and when it ends instead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from marquee.container import gpu
from marquee.container.gpu import Present, check, present
from marquee.errors import MarqueeError

VERSION = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.57.02  Tue Jul 13 16:14:05 UTC 2021\n"
    "GCC version:  gcc version 7.3.1\n"
)
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"
OLD = Present(("/dev/nvidia0",), "470.57.02")
TOO_OLD = "The NVIDIA driver on your system is too old (found version 11040)."
SAID: dict[str, Any] = {"torch": "2.14.1", "cuda": "13.0", "driver": 13000, "cards": []}


def computer(root: Path, version: str | None, *devices: str) -> Path:
    (root / "dev").mkdir()
    for name in devices:
        (root / "dev" / name).touch()
    if version is not None:
        (root / "proc" / "driver" / "nvidia").mkdir(parents=True)
        (root / "proc" / "driver" / "nvidia" / "version").write_text(version)
    return root


@pytest.mark.parametrize(
    ("version", "devices", "expected"),
    [
        (None, ("null", "nvidiactl"), None),
        (None, ("nvidia0", "nvidia1"), Present(("/dev/nvidia0", "/dev/nvidia1"), None)),
        (VERSION, ("nvidia0",), Present(("/dev/nvidia0", "/proc/driver/nvidia"), "470.57.02")),
        (OPEN, (), Present(("/proc/driver/nvidia",), "580.65.06")),
    ],
)
def test_the_signs_of_a_gpu(
    tmp_path: Path, version: str | None, devices: tuple[str, ...], expected: Present | None
) -> None:
    assert present(computer(tmp_path, version, *devices)) == expected


def test_a_gpu_that_can_be_used_is_told() -> None:
    said = {**SAID, "cards": ["Tesla T4", "Tesla T4"]}
    line = check({}, Present(("/dev/nvidia0",), "580.65.06"), lambda _: said)
    assert line == (
        "GPU: 2 x Tesla T4; driver 580.65.06 for CUDA up to 13.0; PyTorch 2.14.1 for 13.0"
    )


def test_without_a_gpu_nobody_is_asked() -> None:
    def ask(_: object) -> dict[str, Any]:
        raise AssertionError

    assert "no NVIDIA GPU here" in check({}, None, ask)
    assert "CUDA_VISIBLE_DEVICES= says" in check({"CUDA_VISIBLE_DEVICES": ""}, OLD, ask)
    assert "NVIDIA_VISIBLE_DEVICES=void" in check({"NVIDIA_VISIBLE_DEVICES": "void"}, OLD, ask)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"driver": 11040, "error": TOO_OLD}, ("470.57.02 for CUDA up to 11.4", "InferenceAmiV")),
        ({"error": "CUDA error: no kernel image is available"}, ("older than this PyTorch",)),
        ({"cuda": None}, ("it sees none", "PyTorch 2.14.1 for no CUDA at all")),
    ],
)
def test_a_gpu_that_cannot_be_used_ends_the_container(
    said: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(MarqueeError) as caught:
        check({}, OLD, lambda _: {**SAID, **said})
    text = str(caught.value)
    for word in (*words, "a GPU is here (/dev/nvidia0, driver 470.57.02)", "MARQUEE_ALLOW_CPU=1"):
        assert word in text
    line = check({"MARQUEE_ALLOW_CPU": "1"}, OLD, lambda _: {**SAID, **said})
    assert "computing on the CPU, as MARQUEE_ALLOW_CPU allows" in line


def test_torch_is_asked_in_a_process_of_its_own() -> None:
    said = gpu.ask_torch(os.environ)
    assert said["torch"].startswith("2.")
    assert said["cards"] or "error" in said or said["cuda"] is None


def test_a_probe_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "PROBE", "import sys; sys.exit('libcuda is broken')")
    assert gpu.ask_torch({}) == {
        "error": "its process ended with code 1 and said: libcuda is broken"
    }


@pytest.mark.slow
@pytest.mark.parametrize("word", ["serve", "train"])
def test_the_container_ends_with_the_sentence(tmp_path: Path, word: str) -> None:
    """An old driver, as a card that PyTorch cannot reach shows itself."""
    (tmp_path / "ml" / "model").mkdir(parents=True)
    lines = (
        "import sys",
        "from pathlib import Path",
        "from marquee.container import gpu",
        "from marquee.container.__main__ import main",
        "gpu.present = lambda: gpu.Present(('/dev/nvidia0',), '470.57.02')",
        f"gpu.ask_torch = lambda _: {{**{SAID!r}, 'error': {TOO_OLD!r}}}",
        f"sys.exit(main([{word!r}]))",
    )
    environ = {**os.environ, "SAGEMAKER_BASE_DIR": str(tmp_path / "ml"), "TEMP": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Error: a GPU is here (/dev/nvidia0, driver 470.57.02) and PyTorch" in done.stderr
    assert TOO_OLD in done.stderr
    assert "Traceback" not in done.stderr
    if word == "train":
        assert "470.57.02" in (tmp_path / "ml" / "output" / "failure").read_text()
