"""What a script prints and logs, in a process that is set up as TorchServe sets up a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.handlers.script.harness import make_folder
from tests.support import ROOT

pytestmark = pytest.mark.slow

# As ts/model_service_worker.py, whose name it has: logging to stdout, then the handler.
WORKER = """
import logging, sys, warnings
from pathlib import Path

logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
warnings.simplefilter("ignore", ResourceWarning)
from ts.context import Context, RequestProcessor
from handlers.script.handler import ScriptHandler

logging.getLogger("ts.metrics.caching_metric").info("[METRICS]before:1")
context = Context("script", sys.argv[1], {}, 1, None, "0.12.0", model_yaml_config={})
handler = ScriptHandler()
handler.initialize(context)
context.request_processor, context.request_ids = [RequestProcessor({})], {0: "id-0"}
[body] = handler.handle([{"body": bytearray(b"x")}], context)
logging.getLogger("ts.metrics.caching_metric").info("[METRICS]after:1")
status = context.get_response_status(0)[0]
logging.getLogger("handlers.tested").error("status %d %s", status, bytes(body).decode())
"""
MODEL = "\ndef model_fn(d): return None\ndef transform_fn(m, d, c, a): "
METRICS = ["[METRICS]before:1", "[METRICS]after:1"]


@dataclass
class Said:
    """What TorchServe reads of a worker, line by line as it splits them."""

    out: list[str]
    err: list[str]
    code: int

    @property
    def answer(self) -> str:
        """What the script answered, with its status."""
        (line,) = [line for line in self.out + self.err if "status " in line]
        return line.partition("status ")[2]

    @property
    def commands(self) -> list[str]:
        """The lines that TorchServe would obey."""
        marks = ("[METRICS]", "[PID]", "INFO > [")
        return [line for line in self.out + self.err if line.startswith(marks)]


def run(tmp_path: Path, script: str, **environment: str) -> Said:
    folder = make_folder(tmp_path / "m", script)
    program = tmp_path / "model_service_worker.py"
    program.write_text(WORKER)
    done = subprocess.run(
        [sys.executable, program, folder],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        check=False,
        timeout=120,
    )
    out, err = (text.decode().splitlines() for text in (done.stdout, done.stderr))
    return Said(out, err, done.returncode)


@pytest.mark.parametrize(
    "setup",
    [
        "logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))",
        "logging.basicConfig(stream=sys.stdout, force=True, level=logging.INFO)",
        "log.addHandler(logging.StreamHandler())",
        "logging.config.dictConfig({'version': 1, 'root': {'level': 'INFO', 'handlers': ['c']},"
        " 'handlers': {'c': {'class': 'logging.StreamHandler', 'stream': 'ext://sys.stdout'}}})",
    ],
)
def test_ordinary_logging_is_seen_once_and_never_obeyed(tmp_path: Path, setup: str) -> None:
    head = f"import logging, logging.config, sys\nlog = logging.getLogger('mine')\n{setup}\n"
    head += "log = logging.getLogger('other')\n" if "dictConfig" in setup else ""
    body = "[log.info('hello'), log.info('[METRICS]x:1'), log.info('a\\n[PID]1')] and 'done'"
    said = run(tmp_path, head + MODEL + "return " + body)
    assert said.answer == "200 done"
    assert said.commands == METRICS
    assert len([line for line in said.out + said.err if "hello" in line]) == 1
    assert len([line for line in said.out + said.err if "[METRICS]x:1" in line]) == 1


def test_stdout_is_a_real_stream(tmp_path: Path) -> None:
    script = """
import faulthandler, subprocess, sys
faulthandler.enable(sys.stdout)
sys.stdout.reconfigure(line_buffering=True)
sys.stdout.buffer.write(b"bytes\\n")
sys.stdout.flush()
assert sys.stdout.encoding.lower() == "utf-8" and sys.stdout.isatty() is False
assert sys.stdout.fileno() == 1 and sys.stdout.errors and sys.stdout.name == "<stdout>"
print("caf\\u00e9 \\udcff")
subprocess.run(["echo", "[METRICS]from a child:1"])
""" + (MODEL + "return __import__('os').write(1, b'[PID]7\\nno end') and 'done'")
    said = run(tmp_path, script, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert said.answer == "200 done"
    assert said.commands == METRICS
    printed = ["bytes", "café \\udcff", "[METRICS]from a child:1", "[PID]7", "no end"]
    lines = [line for line in said.out if line.startswith("script printed: ")]
    assert lines == [f"script printed: {line}" for line in printed]


def test_whatever_ends_a_line_begins_no_command(tmp_path: Path) -> None:
    script = """
import logging, sys
for say in (print, logging.getLogger("mine").info, lambda text: print(text, file=sys.stderr)):
    for end in ("\\n", "\\r", "\\r\\n", "\\u2028", "\\u2029", "\\x85"):
        say(f"one{end}[METRICS]x:1{end}INFO > [PID]1")
    say("[PID]1")
"""
    said = run(tmp_path, script + MODEL + r"raise ValueError('a\u2028[METRICS]b:1')")
    assert said.answer.startswith("500")
    assert said.commands == METRICS


def test_long_lines_arrive_in_pieces(tmp_path: Path) -> None:
    script = "import sys\nfor n in range(3): print('é[METRICS]' * 30_000)\n"
    script += "print('x' * 5000 + '[PID]1', file=sys.stderr)\n"
    said = run(tmp_path, script + MODEL + "return 'done'")
    assert said.commands == METRICS
    pieces = [line for line in said.out if line.startswith("script printed: ")]
    assert max(len(line.encode()) for line in pieces) < 4096
    assert "".join(line.removeprefix("script printed: ") for line in pieces) == (
        "é[METRICS]" * 90_000
    )


def test_what_a_crash_says_comes_through(tmp_path: Path) -> None:
    script = "import faulthandler, os, sys\nfaulthandler.enable(sys.stdout)\n"
    said = run(tmp_path, script + MODEL + f"return os.kill(os.getpid(), {int(signal.SIGSEGV)})")
    assert said.code == -signal.SIGSEGV
    assert any("Fatal Python error: Segmentation fault" in line for line in said.out)


def test_output_that_went_to_a_file_is_captured_and_let_go(tmp_path: Path) -> None:
    program = (
        "import sys; from handlers.script.output import capture_output, release_output\n"
        "capture_output(); sys.stdout.reconfigure(encoding='utf-8'); print('captured')\n"
        "release_output(); print('let go')\n"
    )
    said, failed = tmp_path / "out", tmp_path / "err"
    with said.open("w") as out, failed.open("w") as err:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, stdout=out, stderr=err, check=False
        )
    assert (done.returncode, said.read_text()) == (0, "let go\n"), failed.read_text()
    assert failed.read_text() == "script printed: captured\n"
