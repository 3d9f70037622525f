"""What the container finds of a GPU at start: driver, CUDA, card; and whether PyTorch can use it.

Without this check a model whose GPU cannot be used answers from the CPU, slowly, and nobody is
told.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marquee.errors import MarqueeError

log = logging.getLogger(__name__)

ALLOW_CPU = "MARQUEE_ALLOW_CPU"
# Variables by which somebody says that no GPU is to be used, and how.
UNWANTED = {
    "CUDA_VISIBLE_DEVICES": ("", "-1"),
    "NVIDIA_VISIBLE_DEVICES": ("", "none", "void"),
    "TS_NUMBER_OF_GPU": ("0",),
}
PROBE_SECONDS = 180
# Run apart: the container's own process never loads PyTorch. Each card computes something, since
# a card that this PyTorch has no kernels for is "available".
PROBE = """
import json, torch
said = {"torch": torch.__version__, "cuda": torch.version.cuda, "driver": 0, "cards": []}
try:
    said["driver"] = getattr(torch._C, "_cuda_getDriverVersion", int)()
    if torch.version.cuda is not None:
        torch.cuda.init()
        for card in range(torch.cuda.device_count()):
            said["cards"].append(torch.cuda.get_device_name(card))
            assert (torch.ones(8, device=card) * 2).sum().item() == 16
except Exception as error:
    said["error"] = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
print(json.dumps(said))
"""

Probe = Callable[[Mapping[str, str]], dict[str, Any]]


@dataclass(frozen=True)
class Present:
    """Signs of an NVIDIA GPU.

    Attributes:
        signs: files and programs that are there only with one.
        driver: the version of its driver; None where the kernel does not say.
    """

    signs: tuple[str, ...]
    driver: str | None

    def __str__(self) -> str:
        return ", ".join(self.signs) + (f", driver {self.driver}" if self.driver else "")


def present(root: Path = Path("/")) -> Present | None:
    """Look for a GPU below ``root``; None where there is no sign of one."""
    signs = [f"/dev/{path.name}" for path in sorted((root / "dev").glob("nvidia[0-9]*"))]
    version = root / "proc" / "driver" / "nvidia" / "version"
    text = version.read_text(errors="replace") if version.is_file() else ""
    if text:
        signs.append("/proc/driver/nvidia")
    if root == Path("/") and shutil.which("nvidia-smi"):
        signs.append("nvidia-smi")
    found = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return Present(tuple(signs), found.group(1) if found else None) if signs else None


def check(environ: Mapping[str, str], here: Present | None, probe: Probe | None = None) -> str:
    """Return a line on what computes here.

    Args:
        here: the signs of a GPU.
        probe: asks PyTorch; :func:`ask_torch` unless given.

    Raises:
        MarqueeError: there is a GPU, PyTorch cannot use it, and nobody has said that it may be so.
    """
    if here is None:
        return "no NVIDIA GPU here: computing on the CPU"
    if unwanted := _unwanted(environ):
        return f"a GPU is here ({here}); {unwanted} says to compute on the CPU"
    said = (probe or ask_torch)(environ)
    if said.get("cards") and "error" not in said:
        return f"GPU: {_counted(said['cards'])}; {_versions(here, said)}"
    problem = (
        f"a GPU is here ({here}) and PyTorch cannot use it: {said.get('error') or 'it sees none'}; "
        f"{_versions(here, said)}"
    )
    if environ.get(ALLOW_CPU, "").strip().lower() in ("1", "true"):
        return f"{problem}; computing on the CPU, as {ALLOW_CPU} allows"
    raise MarqueeError(f"{problem}. {_advice(said)}, or set {ALLOW_CPU}=1 to compute on the CPU")


def ask_torch(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what PyTorch says of itself and of its cards, in a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE],
            env={**environ},
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
        said = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"error": f"it did not answer within {PROBE_SECONDS} s"}
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        return {"error": f"its process ended with code {done.returncode} and said: {last}"}
    return dict(said)


def _unwanted(environ: Mapping[str, str]) -> str | None:
    for name, values in UNWANTED.items():
        if name in environ and environ[name].strip() in values:
            return f"{name}={environ[name].strip()}"
    return None


def _counted(cards: list[str]) -> str:
    return ", ".join(f"{cards.count(card)} x {card}" for card in dict.fromkeys(cards))


def _versions(here: Present, said: Mapping[str, Any]) -> str:
    """Tell the driver, the CUDA it can run, and what PyTorch was built for."""
    runs = int(said.get("driver") or 0)
    able = f" for CUDA up to {runs // 1000}.{runs % 1000 // 10}" if runs else ""
    wants = said.get("cuda") or "no CUDA at all"
    return f"driver {here.driver or 'unknown'}{able}; PyTorch {said.get('torch')} for {wants}"


def _advice(said: Mapping[str, Any]) -> str:
    if "kernel image" in str(said.get("error")):
        return "The card is older than this PyTorch: take one of Turing (T4, g4dn) or newer"
    return (
        "Take a host with driver 580 or newer (SageMaker: InferenceAmiVersion "
        "al2023-ami-sagemaker-inference-gpu-4-1), run the container with --gpus all"
    )
