"""docker/build_and_push.sh with commands that only write down how they were called."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support import BIN, ROOT, clean_environment

SCRIPT = ROOT / "docker" / "build_and_push.sh"
VERSION = version("marquee")
REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
AWS = """#!/bin/bash
echo "aws $*" >> "$CALLS"
case "$*" in
    "configure get region") [[ -n $FAKE_REGION ]] && echo "$FAKE_REGION" ;;
    "sts get-caller-identity"*) [[ -z $NO_ACCOUNT ]] && echo 123456789012 ;;
    "ecr describe-repositories"*)
        [[ -z $REPOSITORY_ERROR ]] || { echo "An error ($REPOSITORY_ERROR)" >&2; exit 254; }
        printf '%s\\t%s\\n' "${ENCRYPTION:-AES256}" "${ENCRYPTION_KEY:-None}" ;;
    "ecr get-login-password"*) echo secret ;;
esac
"""
KEY_ID = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
KEY = f"arn:aws:kms:eu-west-1:123456789012:key/{KEY_ID}"
BUILDER = """#!/bin/bash
echo "$(basename "$0") $*" >> "$CALLS"
[[ $1 == login ]] && cat > "$CALLS.password"
exit 0
"""


class Machine:
    """A folder of commands before all others, and what was called."""

    def __init__(self, folder: Path, builder: str = "docker") -> None:
        self.commands, self.log = folder / "bin", folder / "calls"
        self.commands.mkdir()
        for name, text in (("aws", AWS), (builder, BUILDER)):
            (self.commands / name).write_text(text)
            (self.commands / name).chmod(0o755)
        self.builder = builder

    def run(self, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        variables = {"BUILDER": self.builder, "CALLS": str(self.log), "FAKE_REGION": "eu-west-1"}
        path = f"{self.commands}:/usr/local/bin:/usr/bin:/bin"
        environment = clean_environment(**{"PATH": path} | variables | extra)
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            environment.pop(name, None)
        return subprocess.run(
            [SCRIPT, *words], env=environment, capture_output=True, text=True, check=False
        )

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


def revision() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run([BIN / "shellcheck", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_it_starts_as_whom_run_as_names(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.run(RUN_AS="1001").returncode == 0
    assert any("--build-arg RUN_AS=1001 " in call for call in machine.calls())


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
def test_it_builds_and_pushes_version_and_revision(tmp_path: Path, builder: str) -> None:
    machine = Machine(tmp_path, builder)
    done = machine.run("models/marquee", REPOSITORY_ERROR="RepositoryNotFoundException")
    assert done.returncode == 0, done.stderr
    image = f"{REGISTRY}/models/marquee"
    tagged = rf"{re.escape(image)}:{revision()}(-dirty)?"
    calls = machine.calls()
    (create,) = [call for call in calls if "create-repository" in call]
    assert "--repository-name models/marquee" in create
    (build,) = [call for call in calls if " --file docker/Dockerfile " in call]
    assert build.startswith(f"{builder} {'bud' if builder == 'buildah' else 'build'} ")
    released = re.escape(f"{image}:{VERSION}")
    assert re.search(rf"--tag {released} --tag {tagged} \.$", build)
    assert ("--format docker" in build) == (builder != "docker")
    assert "--build-arg RUN_AS=root " in build
    pushes = [call for call in calls if call.startswith(f"{builder} push ")]
    assert pushes[0] == f"{builder} push {image}:{VERSION}"
    assert re.fullmatch(f"{builder} push {tagged}", pushes[1])
    assert re.fullmatch(f"image: {tagged}", done.stdout.splitlines()[-1])


def test_the_password_goes_by_a_pipe_and_is_nowhere_shown(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    done = machine.run()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls.password").read_text() == "secret\n"
    assert "secret" not in "\n".join([*machine.calls(), done.stdout, done.stderr])
    assert not [call for call in machine.calls() if "create-repository" in call]


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    done = machine.run("--dry-run", REPOSITORY_ERROR="RepositoryNotFoundException")
    assert done.returncode == 0, done.stderr
    assert [call.split()[:3] for call in machine.calls()] == [
        ["aws", "configure", "get"],
        ["aws", "sts", "get-caller-identity"],
        ["aws", "ecr", "describe-repositories"],
    ]
    for words in ("aws ecr create-repository", "docker login", "docker build", "docker push"):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("words", "extra", "encryption"),
    [
        ([], {}, "encryptionType=AES256"),
        (["--kms-key", KEY], {}, f"encryptionType=KMS,kmsKey={KEY}"),
        (["--kms-key", "alias/images"], {}, "encryptionType=KMS,kmsKey=alias/images"),
        ([], {"ECR_KMS_KEY": KEY_ID}, f"encryptionType=KMS,kmsKey={KEY_ID}"),
        (["--kms-key", KEY], {"ECR_KMS_KEY": "alias/old"}, f"encryptionType=KMS,kmsKey={KEY}"),
    ],
)
def test_a_new_repository_is_scanned_and_has_the_key_that_is_named(
    tmp_path: Path, words: list[str], extra: dict[str, str], encryption: str
) -> None:
    machine = Machine(tmp_path)
    done = machine.run(*words, **extra, REPOSITORY_ERROR="RepositoryNotFoundException")
    assert done.returncode == 0, done.stderr
    (create,) = [call for call in machine.calls() if "create-repository" in call]
    assert create.endswith(f"scanOnPush=true --encryption-configuration {encryption}")


@pytest.mark.parametrize("key", [KEY, KEY_ID, "alias/images"])
def test_a_repository_that_has_the_key_is_used(tmp_path: Path, key: str) -> None:
    machine = Machine(tmp_path)
    done = machine.run("--kms-key", key, ENCRYPTION="KMS", ENCRYPTION_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert not [call for call in machine.calls() if "create-repository" in call]


@pytest.mark.parametrize(
    ("words", "extra", "told"),
    [
        (["--kms-key"], {}, "--kms-key names no key"),
        (["--kms-key", "my key"], {}, "the KMS key is 'my key'; expected its ARN"),
        (
            ["--kms-key", "alias/images"],
            {},
            "the repository marquee is there, encrypted with AES256 and not with alias/images",
        ),
        (
            ["--kms-key", "mrk-" + 32 * "0"],
            {"ENCRYPTION": "KMS", "ENCRYPTION_KEY": KEY},
            f"the repository marquee is there, encrypted with KMS {KEY} and not",
        ),
        (["--oops"], {}, "unknown option --oops"),
        (["Marquee"], {}, "the repository is 'Marquee'; ECR takes lower-case"),
        ([], {"FAKE_REGION": ""}, "no region is configured"),
        ([], {"NO_ACCOUNT": "1"}, "AWS does not say whose account"),
        (
            [],
            {"REPOSITORY_ERROR": "AccessDenied"},
            "ECR does not tell whether there is a repository",
        ),
    ],
)
def test_what_is_wrong_is_told(
    tmp_path: Path, words: list[str], extra: dict[str, str], told: str
) -> None:
    machine = Machine(tmp_path)
    done = machine.run(*words, **extra)
    assert done.returncode == 1
    assert f"Error: {told}" in done.stderr
    assert not [call for call in machine.calls() if call.startswith("docker")]
