"""A closed loop of clients by wrk, every answer checked by check.lua."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.contenders.start import Asked
from bench.install import wrk_command
from bench.outcome import Outcome

SCRIPT = Path(__file__).parent / "check.lua"
HANGS = "60s"


def parsed(output: str) -> Outcome:
    """Read the line that check.lua writes when wrk is done.

    Raises:
        ValueError: there is none; the message has what wrk wrote instead.
    """
    line = output.strip().rpartition("\n")[2]
    if not line.startswith("{"):
        raise ValueError(f"wrk did not come to its end, it wrote: {output.strip()[-500:]!r}")
    found = json.loads(line)
    found["failed"] += found.pop("broken")
    return Outcome(**found)


def closed_loop(
    url: str,
    asked: Asked,
    expected: Mapping[str, float],
    *,
    clients: int,
    seconds: int,
    tolerance: float,
) -> Outcome:
    """Let ``clients`` ask again as soon as they have an answer, for whole ``seconds``."""
    command, variables = wrk_command()
    with tempfile.TemporaryDirectory() as name:
        body, headers = Path(name) / "body", Path(name) / "headers"
        body.write_bytes(asked.body)
        headers.write_text("".join(f"{key}: {value}\n" for key, value in asked.headers.items()))
        loop = ["-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", HANGS, "-s", str(SCRIPT), url]
        right = [f"{key}={value!r}" for key, value in expected.items()]
        done = subprocess.run(
            [command, *loop, "--", str(body), str(headers), str(tolerance), *right],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
    return parsed(done.stdout + done.stderr if done.returncode else done.stdout)
