"""Handlers may be taken to where Python is newer: AWS's image of Ray Serve has 3.13."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

# Modules that were there in 3.10 and are not in 3.13.
_NAMES = """
    aifc asynchat asyncore audioop binhex cgi cgitb chunk crypt distutils imghdr imp lib2to3
    mailcap msilib nis nntplib ossaudiodev pipes sndhdr smtpd spwd sunau telnetlib uu xdrlib
"""
GONE = frozenset(_NAMES.split())
MODULES = sorted((ROOT / "handlers").rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yield the first names of what a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_no_handler_imports_what_newer_pythons_lack() -> None:
    found = {path.name: GONE & {*imported(path)} for path in MODULES}
    assert len(MODULES) > 100
    assert {name: gone for name, gone in found.items() if gone} == {}


def test_newer_pythons_can_read_handlers() -> None:
    """Warnings, such as of an unknown escape in a text, are errors."""
    python = shutil.which("python3.13")
    if python is None or subprocess.run([python, "-V"], check=False).returncode:
        pytest.skip("no python3.13 here")
    lines = "import sys; [compile(open(p).read(), p, 'exec') for p in sys.argv[1:]]"
    done = subprocess.run(
        [python, "-W", "error", "-X", "utf8", "-c", lines, *map(str, MODULES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
