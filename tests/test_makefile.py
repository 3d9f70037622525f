"""``make serve`` goes on when some archives are missing, and with nothing else that went wrong."""

import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT


@pytest.mark.parametrize(
    ("archived", "served"),
    [(0, True), (3, True), (1, False), (2, False), (130, False)],
)
def test_serving_what_could_be_built(tmp_path: Path, archived: int, served: bool) -> None:
    fake = tmp_path / "marquee"
    fake.write_text(
        f'#!/bin/sh\necho "$1" >> {tmp_path}/calls\n[ "$1" = serve ] || exit {archived}\n'
    )
    fake.chmod(0o755)
    (tmp_path / "installed").touch()
    words = [f"BIN={tmp_path}", f"INSTALLED={tmp_path}/installed"]
    done = subprocess.run(["make", "serve", *words], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode == 0) is served
    assert (tmp_path / "calls").read_text().split() == ["archive", *(["serve"] if served else [])]
