"""The grammar of configuration files, compared with Java's own reader.

``java_properties.json`` has 200 drawn files, each with what ``java.util.Properties`` (Java 17) made
of it. Where a Java compiler is installed, as many new ones are drawn and given to the Java that
marquee finds.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from marquee import javaproperties
from marquee.torchserve import java

KEPT = json.loads(Path(__file__).with_name("java_properties.json").read_text())
TOKENS = (
    *"=: \t\f\\\n\r#!a\0\x85\xe9",
    *("\\\n", "\\\r\n", "\\\r", "\r\n", "\\u0041", "\\uD83D\\uDE00", "\\uD83D", "\\n", "\\t"),
    *("\\:", "\\=", "\\ ", "\\z", "\\\\", "key", "value", "http://h:1", "\n#c\n", "\n!c\n"),
)
# Prints the names and values of each file as hex, so that nothing in them gets in the way.
READER = """
import java.io.*; import java.util.*;
public class Reader {
    public static void main(String[] paths) throws Exception {
        for (String path : paths) {
            Properties read = new Properties();
            try (InputStream in = new FileInputStream(path)) { read.load(in); }
            StringBuilder line = new StringBuilder();
            for (String key : read.stringPropertyNames())
                line.append(hex(key)).append('=').append(hex(read.getProperty(key))).append(';');
            System.out.println(line);
        }
    }
    static String hex(String text) {
        StringBuilder made = new StringBuilder();
        for (char one : text.toCharArray()) made.append(String.format("%04x", (int) one));
        return made.toString();
    }
}
"""


def drawn(seed: int, count: int) -> list[str]:
    source = random.Random(seed)  # noqa: S311 - test inputs
    return ["".join(source.choices(TOKENS, k=source.randint(1, 25))) for _ in range(count)]


def text(hexed: str) -> str:
    return bytes.fromhex(hexed).decode("utf-16-be", "surrogatepass")


@pytest.mark.parametrize("number", range(0, len(KEPT), 20))
def test_files_are_read_as_java_read_them(number: int) -> None:
    for content, expected in KEPT[number : number + 20]:
        assert javaproperties.loads(content) == expected, repr(content)


def test_new_files_are_read_as_the_java_here_reads_them(tmp_path: Path) -> None:
    compiler = shutil.which("javac")
    if compiler is None:
        pytest.skip("there is no javac: the kept answers of java.util.Properties must do")
    (tmp_path / "Reader.java").write_text(READER)
    # For the oldest Java that TorchServe runs on: the one that marquee finds is no older.
    subprocess.run(
        [compiler, "--release", str(java.OLDEST), "-d", tmp_path, tmp_path / "Reader.java"],
        check=True,
        timeout=120,
    )
    contents = drawn(random.SystemRandom().randrange(1 << 32), 200)
    paths = [tmp_path / f"{number}.properties" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content.encode("latin-1"))
    done = subprocess.run(
        [java.find_home() / "bin" / "java", "-cp", tmp_path, "Reader", *paths],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    for content, line in zip(contents, done.stdout.splitlines(), strict=True):
        pairs = (entry.split("=") for entry in line.split(";") if entry)
        expected = {text(key): text(value) for key, value in pairs}
        assert javaproperties.loads(content) == expected, repr(content)


def test_what_is_written_is_read_back() -> None:
    source = random.Random(7)  # noqa: S311 - test inputs
    for _ in range(500):
        pairs = {"".join(source.choices(TOKENS, k=2)): "".join(source.choices(TOKENS, k=4))}
        pairs |= {"\U0001f600 \u20ac": " \U0001f600\u20ac "}
        lines = [javaproperties.line(*pair) for pair in pairs.items()]
        assert all(line.isascii() for line in lines)
        assert javaproperties.loads("\n".join(lines)) == pairs


@pytest.mark.parametrize("content", ["a=\\u12", "a=\\u", "a\\u12g4=b", "a=\\uu0041"])
def test_half_an_escape_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match="four hex digits"):
        javaproperties.loads(content)
