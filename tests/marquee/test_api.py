"""The operating commands are functions of the same name."""

from __future__ import annotations

import subprocess
import sys

import pytest

import marquee
from marquee.cli.main import SECTIONS


def test_each_operating_command_is_a_function() -> None:
    commands = {command.name for group in SECTIONS.values() for command in group}
    exported = set(marquee.__all__) - {"Project", "MarqueeError", "promote", "withdraw"}
    assert exported <= commands
    for name in marquee.__all__:
        assert callable(getattr(marquee, name))


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sawp'"):
        _ = marquee.sawp


def test_the_package_alone_imports_nothing_heavy() -> None:
    code = (
        "import sys, marquee; sys.exit(any(m in sys.modules for m in ('torch', 'httpx', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
