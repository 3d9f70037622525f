"""The exception that ended a worker, from tracebacks as Python itself prints them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from marquee.torchserve.tracebacks import MAX_TEXT, failure

HEAD = "Backend worker process died."


def printed(code: str) -> list[str]:
    """Return the lines of the traceback of some code, as a worker logs them."""
    script = (
        f"import logging, sys\nlogging.basicConfig(stream=sys.stdout, format='%(message)s')\n{code}"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()


def logged(body: str) -> list[str]:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return printed(f"try:\n{lines}\nexcept Exception:\n    logging.error('{HEAD}', exc_info=True)")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise ValueError('x')", "ValueError: x"),
        ("raise ValueError", "ValueError"),
        ("exec('def x(:')", "SyntaxError: invalid syntax"),
        (
            "try:\n    {}['a']\nexcept KeyError as error:\n    raise ValueError('b') from error",
            "ValueError: b (caused by KeyError: 'a')",
        ),
        (
            "try:\n    {}['a']\nexcept KeyError:\n    raise ValueError('b')",
            "ValueError: b (while handling KeyError: 'a')",
        ),
        (
            "try:\n    {}['a']\nexcept KeyError:\n    raise ValueError('b') from None",
            "ValueError: b",
        ),
        (
            "raise RuntimeError('Error(s) in loading Net:\\n\\tMissing key(s): \"a\".')",
            'RuntimeError: Error(s) in loading Net: Missing key(s): "a".',
        ),
        ("def f(n): return f(n + 1)\nf(0)", "RecursionError: maximum recursion depth exceeded"),
        (
            "try:\n    import a_module_that_is_missing\nexcept ImportError:\n"
            "    raise ModuleNotFoundError(\"No module named 'ts.torch_handler.handler'\")",
            "ModuleNotFoundError: No module named 'a_module_that_is_missing'",
        ),
    ],
)
def test_the_exception_that_was_raised_last_and_what_led_to_it(body: str, told: str) -> None:
    assert failure(logged(body)) == told


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_a_group_of_exceptions_names_them() -> None:
    told = failure(logged("raise ExceptionGroup('both', [ValueError('a'), KeyError('b')])"))
    assert told == "ExceptionGroup: both (2 sub-exceptions) ValueError: a KeyError: 'b'"


def test_a_traceback_under_other_words_ended_nothing() -> None:
    lines = logged("raise ValueError('x')")
    assert failure(["optional is missing", *lines[1:]]) is None
    assert failure([]) is None


def test_a_head_without_its_traceback_says_nothing_yet() -> None:
    assert failure([HEAD]) is None
    assert failure([HEAD, "Traceback (most recent call last):", '  File "a.py", line 1']) is None


def test_a_long_text_is_cut() -> None:
    told = failure(logged("raise ValueError('x' * 100_000)"))
    assert told is not None
    assert len(told) == MAX_TEXT
