"""What ended Java, from what it really printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from marquee.project import Project
from marquee.torchserve.lastwords import NO_WORD, last_words, not_registered

BEFORE = """\
Warning: TorchServe is using non-default JVM parameters: -Xmx2g
WARNING: sun.reflect.Reflection.getCallerClass is not supported. This will impact performance.
nvidia-smi not available or failed: Cannot run program "nvidia-smi": error=2, No such file
"""
HOOK = """\
Exception in thread "Thread-0" java.lang.NullPointerException: Cannot invoke "SnapshotManager"
	at org.pytorch.serve.ModelServer.stop(ModelServer.java:571)
	at org.pytorch.serve.ModelServer$1.run(ModelServer.java:101)
"""
ASKED = '11:40:00 INFO  /127.0.0.1:1 "POST /predictions/cifar HTTP/1.1" 200 20\n'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "logs").mkdir()
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (
            BEFORE + "Invalid configuration: Invalid binding address: http://[::1]:1\n" + HOOK,
            "Invalid configuration: Invalid binding address: http://[::1]:1",
        ),
        (
            BEFORE + "java.nio.file.NoSuchFileException: /nope.key\n\tat a.B.c(B.java:1)\n",
            "java.nio.file.NoSuchFileException: /nope.key",
        ),
        (
            BEFORE
            + "java.io.IOException: Failed to bind to address: http://192.0.2.7:8080\n"
            + "\tat org.pytorch.serve.ModelServer.main(ModelServer.java:105)\n"
            + "Caused by: io.netty.Errors$NativeIoException: Cannot assign requested address\n",
            "java.io.IOException: Failed to bind to address: http://192.0.2.7:8080 Caused by: "
            "io.netty.Errors$NativeIoException: Cannot assign requested address",
        ),
        (
            "Unrecognized VM option 'NoSuchOption'\n"
            "Error: Could not create the Java Virtual Machine.\n"
            "Error: A fatal exception has occurred. Program will exit.\n",
            "Unrecognized VM option 'NoSuchOption'",
        ),
        (
            BEFORE
            + "11:41:28 ERROR Failed to load metrics configuration: \n"
            + "java.io.FileNotFoundException: /nope.yaml (No such file or directory)\n"
            + "\tat java.io.FileInputStream.open0(Native Method) ~[?:?]\n",
            "Failed to load metrics configuration: java.io.FileNotFoundException: /nope.yaml "
            "(No such file or directory)",
        ),
        (
            BEFORE + ASKED + "Terminating due to java.lang.OutOfMemoryError: Java heap space\n",
            "Terminating due to java.lang.OutOfMemoryError: Java heap space",
        ),
        (
            ASKED + "#\n# A fatal error has been detected by the Java Runtime Environment:\n#\n"
            "#  SIGSEGV (0xb) at pc=0x1, pid=2\n#\n#   https://bugs.example\n",
            "A fatal error has been detected by the Java Runtime Environment: SIGSEGV (0xb) at "
            "pc=0x1, pid=2",
        ),
        (BEFORE + "Model server started.\n" + ASKED, NO_WORD),
        (BEFORE + "11:40:00 ERROR old trouble\n" + ASKED, NO_WORD),
        ("", NO_WORD),
    ],
)
def test_the_line_with_the_cause_is_told(project: Project, printed: str, told: str) -> None:
    (project.logs / "console.log").write_text(printed)
    assert last_words(project).split() == told.split()


def test_where_the_console_is_not_kept_it_is_pointed_at(project: Project) -> None:
    assert last_words(project) == "what it printed is above"
    (project.logs / "ts_log.log").write_text(
        "2026-11-28T11:34:16,045 ERROR main org.pytorch.serve.ModelServer - the disk is full\n"
    )
    assert last_words(project) == "the disk is full"


def test_why_an_archive_was_not_registered(project: Project) -> None:
    head = "2026-11-28T11:34:16,045 WARN  main org.pytorch.serve.ModelServer - "
    (project.logs / "ts_log.log").write_text(
        f"{head}Failed to load model: /s/a-1.0.mar\n"
        "org.pytorch.serve.archive.model.InvalidModelException: no manifest\n\tat x.Y.z(Y.java:1)\n"
        f"{head}Failed to load model: /s/b-1.0.mar\njava.io.IOException: other\n"
    )
    assert "InvalidModelException: no manifest" in not_registered(project, "a-1.0.mar")
    assert not_registered(project, "c-1.0.mar") == ""
