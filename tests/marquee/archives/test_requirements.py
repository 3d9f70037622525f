"""requirements.txt as pip reads it, compared with pip itself, and with what is installed."""

from __future__ import annotations

import codecs
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from marquee.archives import requirement_lines, requirements
from marquee.errors import MarqueeError

NUMPY = metadata.version("numpy")


def written(folder: Path, data: bytes | str, name: str = "requirements.txt") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def texts(path: Path) -> list[str]:
    return [line.text for line in requirement_lines.read(path)]


def refusal(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(MarqueeError) as caught:
        read(path)
    return str(caught.value)


ENCODED = {
    "UTF-16, as PowerShell writes it": codecs.BOM_UTF16_LE + "numpy>=1\r\n".encode("utf-16-le"),
    "UTF-16, big end first": codecs.BOM_UTF16_BE + "numpy>=1\n".encode("utf-16-be"),
    "UTF-32": codecs.BOM_UTF32_LE + "numpy>=1\n".encode("utf-32-le"),
    "a byte order mark": codecs.BOM_UTF8 + b"numpy>=1\n",
    "as it says itself": "# -*- coding: latin-1 -*-\nnumpy>=1  # für uns\n".encode("latin-1"),
}


@pytest.mark.parametrize("data", ENCODED.values(), ids=ENCODED)
def test_every_encoding_that_pip_reads(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    assert texts(path) == ["numpy>=1"]
    requirements.check(path)


LINES = {
    "a tab before a comment": ("numpy>=1\t# why\n", ["numpy>=1"]),
    "a hash that is no comment": ("a @ https://x/y#egg=a\n", ["a @ https://x/y#egg=a"]),
    "a continued line": ("numpy \\\n  >=1,\\\n  <9\n", ["numpy   >=1,  <9"]),
    "a comment after a backslash": ("numpy>=1 \\\n# why\npillow\n", ["numpy>=1", "pillow"]),
    "a backslash at the end": ("numpy>=1 \\", ["numpy>=1"]),
    "a backslash in a comment": ("# old \\\nnumpy\n", ["numpy"]),
    "hashes": ("numpy==1 \\\n  --hash=sha256:0 \\\n  --hash=sha256:1\n", ["numpy==1"]),
    "options": ("-i https://x\n--pre --no-index\n--find-links=here\nnumpy\n", ["numpy"]),
    "Windows": ("numpy\r\npillow\r\n", ["numpy", "pillow"]),
    "editable": ("-e git+https://x/y.git#egg=y\n-e.\n", ["git+https://x/y.git#egg=y", "."]),
}


@pytest.mark.parametrize(("data", "expected"), LINES.values(), ids=LINES)
def test_lines_by_pips_rules(tmp_path: Path, data: str, expected: list[str]) -> None:
    assert texts(written(tmp_path, data)) == expected


def test_what_is_editable_is_known(tmp_path: Path) -> None:
    path = written(tmp_path, "numpy\n-e .\n--editable=git+https://x/y#egg=y\n")
    assert [line.editable for line in requirement_lines.read(path)] == [False, True, True]


@pytest.mark.parametrize(
    "line",
    [
        *("-r base.txt", "-rbase.txt", "--requirement base.txt", "--requirement=base.txt"),
        *("--requirem=base.txt", "-r 'base.txt'  # why", "-r file:{folder}/base.txt"),
    ],
)
def test_other_files_are_read(tmp_path: Path, line: str) -> None:
    written(tmp_path, "no-such-package\n", "base.txt")
    path = written(tmp_path, line.format(folder=tmp_path) + "\n")
    assert "no-such-package is not installed" in refusal(requirements.check, path)


def test_variables_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOUND", ">=1")
    assert texts(written(tmp_path, "numpy${BOUND} ${UNSET_HERE}x\n")) == ["numpy>=1 ${UNSET_HERE}x"]


@pytest.mark.parametrize("option", ["-r", "-c"])
def test_a_file_that_includes_itself_is_told(tmp_path: Path, option: str) -> None:
    itself = written(tmp_path, f"numpy\n{option} ./requirements.txt\n")
    assert "cannot include itself" in refusal(requirements.check, itself)
    written(tmp_path, f"{option} b.txt\n", "a.txt")
    written(tmp_path, f"{option} a.txt\n", "b.txt")
    assert "cannot include itself" in refusal(requirements.check, tmp_path / "a.txt")
    (tmp_path / "link.txt").symlink_to(tmp_path / "chain.txt")
    written(tmp_path, f"{option} link.txt\n", "chain.txt")
    assert "cannot include itself" in refusal(requirements.check, tmp_path / "chain.txt")


def test_files_that_include_one_file_twice_are_read_once(tmp_path: Path) -> None:
    """Each of 40 includes the next one twice: read anew each time, that would never end."""
    for number in range(40):
        written(tmp_path, f"-r {number + 1}.txt\n" * 2, f"{number}.txt")
    written(tmp_path, "numpy\n", "40.txt")
    assert texts(tmp_path / "0.txt") == ["numpy"]


def test_what_is_no_requirements_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opened, it would wait for ever
    assert "is no file" in refusal(requirements.check, written(tmp_path, "-r pipe\n"))
    assert "is no file" in refusal(requirements.check, written(tmp_path, "-r /dev/zero\n"))
    assert "is no file" in refusal(requirements.check, written(tmp_path, "-r gone.txt\n"))
    (tmp_path / "circle").symlink_to("circle")
    assert "is no file" in refusal(requirements.check, written(tmp_path, "-r circle\n"))
    assert "cannot be read" in refusal(requirements.check, written(tmp_path, f"-r {'x' * 999}\n"))
    assert "more than" in refusal(requirements.check, written(tmp_path, b"#" * (5 << 20)))
    bare = written(tmp_path, "numpy\n".encode("utf-16-le"))
    assert "UTF-16 without a byte order mark" in refusal(requirements.check, bare)
    half = written(tmp_path, codecs.BOM_UTF16_LE + b"n")
    assert "is no text" in refusal(requirements.check, half)
    unknown = written(tmp_path, "# coding: klingon\nnumpy\n")
    assert "is no text" in refusal(requirements.check, unknown)
    for number in range(requirement_lines.MAX_FILES):
        written(tmp_path, f"-r {number + 1}.txt\n", f"{number}.txt")
    written(tmp_path, "numpy\n", f"{requirement_lines.MAX_FILES}.txt")
    assert "include each other" in refusal(requirements.check, tmp_path / "0.txt")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--no-such-option", "no such option: --no-such-option"),
        ("-r", "-r option requires 1 argument"),
        ("numpy --hash='x", "No closing quotation"),
        ("numpy>=", "cannot be checked"),
        ("numpy; python_version < ", "cannot be checked"),
        ("=1", "cannot be checked"),
        ("https://[", "cannot be checked"),
        ("x-1.whl", "cannot be checked"),
    ],
)
def test_lines_that_pip_does_not_read(tmp_path: Path, line: str, words: str) -> None:
    said = refusal(requirements.check, written(tmp_path, f"pillow\n{line}\n"))
    assert words in said
    assert "line 2" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-e git+https://x/y.git#egg=no-such-package", "no-such-package is not installed"),
        ("git+https://x/y.git@v1#egg=numpy", None),
        ("numpy @ https://x/y.zip", None),
        ("numpy@https://x/y.zip", None),
        (f"https://x/numpy-{NUMPY}-py3-none-any.whl", None),
        (f"./wheels/numpy-{NUMPY}-py3-none-any.whl[extra]", None),
        ("numpy-0.1-py3-none-any.whl", "not ==0.1"),
        ("https://x/numpy-0.1.tar.gz", "not ==0.1"),
        ("https://x/numpy-0.1.tar.gz ; python_version < '3'", None),
        ("./package", "write 'name @ address'"),
        ("https://x/archive/main.zip", "write 'name @ address'"),
        ("-r https://x/requirements.txt", "write that file's lines"),
        ("absent; python_version < '3'", None),
        ("NumPy[extra] >= 1", None),
        ("-c bounds.txt\nnumpy", f"numpy is {NUMPY}, not"),
        ("-c bounds.txt\npillow", None),
    ],
)
def test_what_is_asked_for_is_looked_up(tmp_path: Path, text: str, words: str | None) -> None:
    written(tmp_path, "numpy<1\nno-such-package==1\n", "bounds.txt")
    path = written(tmp_path, text + "\n")
    if words is None:
        requirements.check(path)
    else:
        assert words in refusal(requirements.check, path)


PARTS = (
    *("numpy", "numpy>=1", "pillow == 9.*", "a[b,c]~=1.0", "x; python_version<'3'", "./p", "a.whl"),
    *(
        "y @ https://h/y#egg=y",
        "git+https://h/z@v#egg=z",
        "--pre",
        "-i u",
        "--hash=sha256:0",
        "-e .",
    ),
    *(
        "-e git+https://h/z#egg=z",
        "--no-index",
        "--nope",
        "-r {next}",
        "-c{next}",
        "'",
        "${{HOME}}",
    ),
    *("--requirement={next}", "--constr {next}", "--find-links=w", "\u00e9", "#", "# note", "#x"),
)
JOINTS = (" ", "  ", "\t", "\n", "\n", "\n", "\r\n", "\\\n", " \\\n", "\\", " #", "\t# c", "\n#")


def drawn(dice: random.Random, following: str) -> str:
    pieces = [
        dice.choice(PARTS).format(next=following) + dice.choice(JOINTS)
        for _ in range(dice.randrange(1, 7))
    ]
    return "".join(pieces)


# pip's own parser, in a process of its own: its imports warn, and which pip it is may differ.
PIP = """
import json, sys
from pip._internal.exceptions import InstallationError
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements

session = PipSession()

def parsed(path):
    try:
        found = list(parse_requirements(path, session=session))
    except InstallationError:
        return None
    return [[one.requirement.strip(), one.constraint] for one in found]

print(json.dumps([parsed(path) for path in sys.argv[1:]]))
"""
Found = list[list[object]] | None


def pips(paths: list[Path]) -> list[Found]:
    """Return what pip finds in each file, None where it refuses."""
    command = [sys.executable, "-X", "utf8", "-W", "ignore", "-c", PIP, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[Found] = json.loads(done.stdout)
    return found


def ours(path: Path) -> Found:
    try:
        found = requirement_lines.read(path)
    except MarqueeError:
        return None
    return [[one.text, one.constraint] for one in found]


def once(found: Found) -> Found:
    """Leave out repetitions: a file that is included twice counts once here."""
    return found and [one for number, one in enumerate(found) if one not in found[:number]]


def test_drawn_files_are_read_as_pip_reads_them(tmp_path: Path) -> None:
    pytest.importorskip("pip")
    dice = random.Random(0)  # noqa: S311
    marks = (b"", "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF8, "utf-8")
    paths = []
    for number in range(300):
        folder = tmp_path / str(number)
        folder.mkdir()
        written(folder, "last==1\n", "last.txt")
        written(folder, drawn(dice, "last.txt"), "next.txt")
        mark, encoding = dice.choice(marks)
        paths.append(written(folder, mark + drawn(dice, "next.txt").encode(encoding)))
    theirs = pips(paths)
    for path, expected in zip(paths, theirs, strict=True):
        assert once(ours(path)) == once(expected), (path.read_bytes(), path.with_name("next.txt"))
    assert 20 < sum(found is None for found in theirs) < 280


def test_a_file_of_any_content_is_read_in_bounded_time(tmp_path: Path) -> None:
    """Four megabytes of spaces took hours to search for a comment, of short lines minutes."""
    path = written(tmp_path, "numpy" + " " * 1_000_000 + "x #y")
    assert texts(path) == ["numpy" + " " * 1_000_000 + "x"]
    written(tmp_path, "a\n" * (requirement_lines.MAX_LINES + 1))
    assert "more than 100000" in refusal(requirement_lines.read, path)
