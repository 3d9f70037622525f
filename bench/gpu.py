"""Everything that only a GPU can show, in one command that ends within eight minutes.

    python -m bench.gpu [--device cpu --quick] [--out FOLDER]

Needs Python, torch, torchvision, pillow and numpy, and the folder that ``make gpu-check-bundle``
makes; run it in there. Each step is a process of its own: a lost context must not take the others
along. Writes gpu-check.md and gpu-check.json; ends with 1 where something is wrong, with 2 where
there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import gpu_table

MODELS = ("cifar", "smoke", "rotifer", "inkwash", "timetravel")
BUDGET = 450  # seconds for all; the rest of eight minutes is for what is being ended
LONGEST = 150  # seconds for one step
# What a CPU is not asked in a quick run: the weights alone are 1.3 GB.
NOT_QUICK = (("parity", "timetravel"),)


@dataclass
class Run:
    """Steps, one after the other, each in what is left of the time."""

    archives: Path
    golden: Path
    device: str
    quick: bool
    deadline: float
    findings: list[dict[str, Any]] = field(default_factory=list)

    def step(self, module: str, name: str, archive: str) -> tuple[list[dict[str, Any]], int]:
        """Run a module for an archive; return what it wrote and how it ended."""
        command = [sys.executable, "-m", f"bench.gpu_{module}", name]
        command += ["--archive", str(self.archives / archive), "--device", self.device]
        command += ["--golden", str(self.golden)] if module == "parity" else []
        command += ["--quick"] if module == "speed" and self.quick else []
        left = self.deadline - time.monotonic()
        seconds = left if self.quick else min(left, LONGEST)
        if seconds < 5:
            return [{"kind": "impossible", "what": f"{module} {name}", "why": "no time left"}], 0
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report"
            print(f"{module} {name} ...", flush=True)  # noqa: T201
            code, said = self._ended([*command, "--report", str(report)], seconds)
            lines = report.read_text().splitlines() if report.is_file() else []
            found = [json.loads(line) for line in lines]
        if code is None:
            why = f"ended after {seconds:.0f} s, its time"
            found.append({"kind": "impossible", "what": f"the rest of {module} {name}", "why": why})
        elif code and module != "faults":
            self._add(f"{module} {name}", said.rpartition("\n")[2][:300], right=False)
            print(said, flush=True)  # noqa: T201
        return found, code or 0

    def _ended(self, command: list[str], seconds: float) -> tuple[int | None, str]:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return None, ""
        return done.returncode, (done.stderr or done.stdout).strip()

    def _add(self, what: str, found: str, right: bool) -> None:
        self.findings.append({"kind": "check", "what": what, "found": found, "failed": not right})

    def parity(self, model: str) -> None:
        """Let an archive answer its reference vectors."""
        found, _ = self.step("parity", model, model)
        self.findings += found
        if any(one["kind"] == "loaded" for one in found):
            self._add(f"{model} loads, and answers its example", "200", right=True)

    def faults(self, what: str) -> None:
        """Have a fault, and look what became of it."""
        from bench.gpu_faults import findings  # noqa: PLC0415 - loads torch

        lines, code = self.step("faults", what, MODELS[0])
        for name, found, right in findings(lines, code, what):
            self._add(name, found, right=right)

    def speed(self, model: str) -> None:
        """Measure an archive."""
        self.findings += self.step("speed", model, model)[0]

    def all(self) -> None:
        """Take every step, what matters most first."""
        for model in MODELS:
            if not (self.quick and ("parity", model) in NOT_QUICK):
                self.parity(model)
        for what in ("memory", "assert"):
            self.faults(what)
        for model in ("inkwash", "timetravel", "rotifer", "smoke", "cifar"):
            self.speed(model)


def missing(device: str) -> Iterator[str]:
    """Yield why nothing can be checked here."""
    try:
        import torch  # noqa: PLC0415 - it may be missing
        import torchvision  # noqa: F401, PLC0415
    except ImportError as error:
        yield f"{error}; the check needs torch, torchvision, pillow and numpy"
        return
    if device == "cuda" and not torch.cuda.is_available():
        yield (
            f"PyTorch {torch.__version__} finds no GPU (built for CUDA {torch.version.cuda}, "
            f"{torch.cuda.device_count()} devices); its own logic runs with --device cpu --quick"
        )


def machine(device: str, seconds: float) -> dict[str, Any]:
    """Return the device's name, the versions, and when it was."""
    import torch  # noqa: PLC0415

    versions = f"Python {sys.version.split()[0]}, PyTorch {torch.__version__}"
    name = "a CPU, to try the check itself"
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        name = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        cudnn: Any = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        versions += f", CUDA {torch.version.cuda}, cuDNN {cudnn}"
    when = time.strftime("%Y-%m-%d")
    return {"name": name, "versions": versions, "when": when, "seconds": seconds}


def main() -> None:
    """Check, write both files, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--archives", type=Path, default=Path("archives"))
    parser.add_argument("--golden", type=Path, default=Path("tests/golden"))
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="small, to try the check itself")
    parser.add_argument("--seconds", type=float, default=BUDGET, help="for everything")
    options = parser.parse_args()
    for reason in missing(options.device):
        print(f"No GPU check: {reason}.", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    start = time.monotonic()
    deadline = start + options.seconds
    run = Run(options.archives, options.golden, options.device, options.quick, deadline)
    run.all()
    about = machine(options.device, time.monotonic() - start)
    options.out.mkdir(parents=True, exist_ok=True)
    text = gpu_table.tables(about, run.findings)
    (options.out / "gpu-check.md").write_text(text)
    content = {"machine": about, "findings": run.findings}
    (options.out / "gpu-check.json").write_text(json.dumps(content, indent=1) + "\n")
    print(text)  # noqa: T201
    wrong = gpu_table.failures(run.findings)
    for line in wrong:
        print(f"wrong: {line}", file=sys.stderr)  # noqa: T201
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
