"""Lines that are pasted: quoted as their languages want it, and without a token."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path

import pytest

from marquee.studio import snippets
from marquee.studio.connection import of_url
from marquee.studio.question import Question

NAME = 'my photo\'s "best" $(1).png'


@pytest.fixture
def shown(tmp_path: Path) -> snippets.Shown:
    file = tmp_path / "upload.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n")
    question = Question("cifar", "2.0", file, NAME, accept="image/jpeg", parameters={"top_k": "3"})
    connection = of_url("http://127.0.0.1:8080/", "the-secret", None, None)
    try:
        return snippets.of(connection, question, "image/jpeg")
    finally:
        connection.close()


def test_curl_gets_each_word_whole(shown: snippets.Shown) -> None:
    line = snippets.curl(shown)
    words = shlex.split(line)
    assert words[words.index("-T") + 1] == NAME
    assert words[-1] == "http://127.0.0.1:8080/predictions/cifar/2.0"
    assert "X-Marquee-Top-K: 3" in words
    assert "Authorization: Bearer $MARQUEE_TOKEN" in words


def test_python_is_python_and_asks_the_same(shown: snippets.Shown) -> None:
    program = ast.parse(snippets.python(shown))
    calls = [node for node in ast.walk(program) if isinstance(node, ast.Call)]
    ask = next(one for one in calls if ast.unparse(one.func) == "client.ask")
    given = {one.arg: ast.literal_eval(one.value) for one in ask.keywords}
    assert [ast.literal_eval(one) for one in ask.args] == ["cifar", NAME]
    assert given == {
        "version": "2.0",
        "accept": "image/jpeg",
        "content_type": "image/png",
        "top_k": "3",
    }


def test_no_line_has_the_token(shown: snippets.Shown) -> None:
    for made in (snippets.curl(shown), snippets.python(shown), snippets.javascript(shown)):
        assert "the-secret" not in made
        assert "MARQUEE_TOKEN" in made
