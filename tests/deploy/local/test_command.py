"""`marquee cloud`, whose commands are beside the package and not in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from marquee.cli.main import main
from marquee.sagemaker import localcloud
from tests.support import clean_environment


@pytest.mark.parametrize("words", [[], ["--help"], ["up"], ["demo", "--help"], ["nonsense"]])
def test_where_the_repository_is_not_there_every_command_says_what_to_do(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages" / "marquee" / "sagemaker" / "localcloud.py"
    monkeypatch.setattr(localcloud, "__file__", str(installed))
    done = CliRunner().invoke(main, ["cloud", *words])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: the cloud on this machine is a part of marquee's repo")
    assert f"{installed.parents[2]} has none: install marquee from a clone of it" in done.stderr
    assert "Run the AWS stack" in CliRunner().invoke(main, ["--help"]).stdout


def test_the_commands_are_those_beside_the_package_not_of_the_current_folder(
    tmp_path: Path,
) -> None:
    other = tmp_path / "deploy" / "local"
    other.mkdir(parents=True)
    for folder in (other.parent, other):
        (folder / "__init__.py").touch()
    (other / "command.py").write_text("raise SystemExit('another project')")
    done = subprocess.run(
        [sys.executable, "-m", "marquee.cli", "cloud", "--help"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Put the five examples through the five pipelines" in done.stdout


def test_help_of_all_commands_imports_none_of_them() -> None:
    program = (
        "import sys\nfrom marquee.cli.main import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "sys.exit(any(name.partition('.')[0] in ('deploy', 'examples') for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), capture_output=True, check=False
    )
    assert done.returncode == 0
    assert b"cloud" in done.stdout
