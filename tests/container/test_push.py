"""docker/build_and_push.sh: what it would do, with stand-ins for AWS and the engine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

AWS = """#!/bin/sh
case "$*" in
    "configure get region") echo eu-central-1 ;;
    "sts get-caller-identity"*) echo 123456789012 ;;
    "ecr describe-repositories"*) exit ${MISSING:-0} ;;
    "ecr get-login-password"*) echo secret ;;
    "ecr create-repository"*) echo "created $*" ;;
esac
"""
DOCKER = """#!/bin/sh
[ "$1" != login ] || cat >/dev/null
echo "docker $*"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A git clone with the script, and commands of its own."""
    root = tmp_path / "clone"
    (root / "docker").mkdir(parents=True)
    shutil.copy(ROOT / "docker" / "build_and_push.sh", root / "docker")
    shutil.copy(ROOT / "docker" / "build", root / "docker")
    shutil.copy(ROOT / "pyproject.toml", root)
    (tmp_path / "bin").mkdir()
    for name, text in (("aws", AWS), ("docker", DOCKER)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], cwd=root, check=True)
    return root


def run(clone: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") and k != "ENGINE"}
    own["PATH"] = f"{clone.parent / 'bin'}:{own['PATH']}"
    return subprocess.run(
        [clone / "docker" / "build_and_push.sh", *words],
        env=own | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def revision(clone: Path) -> str:
    words = ["git", "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(
        words, cwd=clone, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_it_builds_and_pushes_version_and_revision(clone: Path) -> None:
    done = run(clone)
    assert done.returncode == 0, done.stderr
    image = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/marquee:0.1.0-{revision(clone)}"
    assert f"docker push {image}" in done.stdout
    assert f"--tag {image}" in done.stdout
    assert "create" not in done.stdout
    assert "secret" not in done.stdout + done.stderr


def test_a_missing_repository_is_created(clone: Path) -> None:
    done = run(clone, "models/marquee", MISSING="1")
    assert done.returncode == 0, done.stderr
    assert "created ecr create-repository --region eu-central-1" in done.stdout
    assert "models/marquee" in done.stdout


def test_a_dry_run_only_prints(clone: Path) -> None:
    done = run(clone, "--dry-run", MISSING="1", AWS_REGION="cn-north-1")
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("would run: ") for line in done.stdout.splitlines())
    assert "create-repository" in done.stdout
    assert ".dkr.ecr.cn-north-1.amazonaws.com.cn/marquee:" in done.stdout


def test_what_is_not_committed_is_not_pushed(clone: Path) -> None:
    (clone / "new.txt").write_text("x")
    done = run(clone)
    assert done.returncode == 1
    assert "not committed" in done.stderr


def test_an_impossible_name_is_refused(clone: Path) -> None:
    assert "small letters" in run(clone, "Marquee!").stderr
