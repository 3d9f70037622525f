"""What the image is made of: nothing that only a clone needs."""

from __future__ import annotations

from tests.support import ROOT

# Not here: deploy/ (the stack, and the cloud on one machine), examples/, tests/, scripts/, docs/.
CARRIED = {"LICENSE", "README.md", "config", "config.properties", "docker", "handlers", "marquee"}


def top(path: str) -> str:
    return path.partition("/")[0]


def test_the_image_carries_neither_the_local_cloud_nor_its_examples() -> None:
    lines = (ROOT / "docker" / "Dockerfile").read_text().splitlines()
    copied = [path for line in lines if line.startswith("COPY ") for path in line.split()[1:-1]]
    assert {top(path) for path in copied} == CARRIED | {"pyproject.toml"}


def test_the_builder_is_sent_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    sent = {top(rule.removeprefix("!")) for rule in rules if rule.startswith("!")}
    assert sent == CARRIED | {"pyproject.toml"}
