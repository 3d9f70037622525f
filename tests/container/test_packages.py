"""A script's requirements: compared with what is there, installed when asked."""

import codecs
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from marquee.container import packages
from marquee.container.contents import Script
from marquee.errors import MarqueeError

FILE = "requirements.txt"


def make_script(folder: Path, requirements: str) -> Script:
    (folder / "code").mkdir(parents=True)
    (folder / "code" / FILE).write_text(requirements)
    return Script(folder, folder / "code")


def make_wheel(folder: Path, requires: str = "numpy") -> Path:
    path = folder / "marquee_trifle-1.0-py3-none-any.whl"
    info = "marquee_trifle-1.0.dist-info"
    metadata = (
        f"Metadata-Version: 2.1\nName: marquee-trifle\nVersion: 1.0\nRequires-Dist: {requires}\n"
    )
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("marquee_trifle.py", "ANSWER = 42\n")
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # no network in these tests
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_what_is_there_needs_nothing(tmp_path: Path) -> None:
    packages.provide(make_script(tmp_path, "numpy\npillow>=11\n"), None, tmp_path / "root")
    packages.provide(Script(tmp_path, tmp_path / "nothing"), None, tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_what_is_missing_is_told_with_both_ways_out(tmp_path: Path) -> None:
    script = make_script(tmp_path, "no-such-package-at-all==1\n")
    for file in (None, FILE):
        with pytest.raises(MarqueeError, match=r"FROM this one.*SAGEMAKER_REQUIREMENTS="):
            packages.check(script, file)


def test_what_is_asked_for_is_installed_for_the_workers(tmp_path: Path) -> None:
    packages.provide(make_script(tmp_path, f"{make_wheel(tmp_path)}\n"), FILE, tmp_path / "root")
    code = "import marquee_trifle; print(marquee_trifle.ANSWER)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": packages.python_path(tmp_path / "root", {})},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "42\n"
    installed = tmp_path / "root" / "packages" / "lib"
    assert not list(installed.rglob("numpy"))  # it is there already


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-r requirements.txt\n", "cannot include itself"),
        ("numpy<1\n", r"numpy <1, and \S+ is here, which is not replaced"),
        ("-c bounds.txt\nnumpy\n", r"numpy <1, and \S+ is here"),
        ("-e git+https://x/y.git#egg=no-such-package\n", "leave out the -e"),
        ("no-such-package @ bzr+https://x/y\n", "needs the program bzr, which is not here"),
        ("--no-such-option\n", "no such option"),
    ],
)
def test_what_cannot_be_installed_is_refused_before_pip_is_asked(
    tmp_path: Path, text: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    script = make_script(tmp_path, text)
    (script.code / "bounds.txt").write_text("numpy<1\n")
    with pytest.raises(MarqueeError, match=rf"{words}.*FROM this one"):
        packages.provide(script, FILE, tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_a_file_of_powershell_is_read(tmp_path: Path) -> None:
    script = make_script(tmp_path, "")
    written = codecs.BOM_UTF16_LE + "numpy>=1\t# why\r\n".encode("utf-16-le")
    (script.code / FILE).write_bytes(written)
    packages.check(script, None)
    packages.provide(script, FILE, tmp_path / "root")


def test_an_installation_without_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "INSTALL_SECONDS", 0.01)
    with pytest.raises(MarqueeError, match=r"not installed in 0\.01 seconds"):
        packages.provide(make_script(tmp_path, "numpy\n"), FILE, tmp_path / "root")


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "numpy==1.0")
    with pytest.raises(MarqueeError, match="cannot be installed: ERROR"):
        packages.provide(make_script(tmp_path, f"{wheel}\n"), FILE, tmp_path / "root")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="there is no such file"):
        packages.provide(Script(tmp_path, tmp_path / "code"), FILE, tmp_path / "root")
