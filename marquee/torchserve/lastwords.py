"""What TorchServe's Java said before it ended: the line with the cause, not a stack's last line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from marquee.project import Project
from marquee.torchserve.loglines import read_lines, stamped

# Of a console log that is long already, no more than this is read back.
TAIL_BYTES = 64 << 10
MAX_TEXT = 500
# What a longer pattern has before the message: the thread and the logger.
ORIGIN = re.compile(r"^\S+ [\w.$]+ - ")
EXCEPTION = re.compile(r"(?:[a-z]\w*\.)+[\w$]*(?:Exception|Error)\b")
# Printed at every start, or only because the end has come.
NOT_A_CAUSE = re.compile(
    r"Warning: TorchServe is using|WARNING: |nvidia-smi not available|Model server started\.|"
    r"Removing orphan pid file\.|Error: Could not create the Java Virtual Machine|"
    r"Error: A fatal exception has occurred|Exception in thread \"Thread-\d+\""
)
NO_WORD = "it left no word: killed, perhaps for lack of memory"


@dataclass
class Message:
    """A line of a log, its level (empty where it has none), and the stack below it."""

    level: str
    text: str
    below: list[str] = field(default_factory=list)

    @property
    def cause(self) -> str:
        """What it says, the exception, and the first cause of that, in a line."""
        raised = [line for line in self.below[:1] if EXCEPTION.match(line)]
        causes = [line for line in self.below if line.startswith("Caused by: ")]
        words = [self.text, *raised, *causes[-1:]]
        if self.text.startswith("#"):  # the Java machine itself has crashed, and draws a frame
            words = [line for line in (self.text, *self.below) if line.strip("# ")][:2]
        return " ".join(word.strip("# ") for word in words)[:MAX_TEXT]


def last_words(project: Project) -> str:
    """Return what ended the server, as far as it said so."""
    printed = project.logs / "console.log"
    if not printed.is_file():
        return _last_cause(project.logs / "ts_log.log") or "what it printed is above"
    return _last_cause(printed) or NO_WORD


def not_registered(project: Project, archive: str) -> str:
    """Return why the server has not taken an archive at its start; empty where it does not say."""
    for message in _reversed(project.logs / "ts_log.log"):
        if message.text.startswith("Failed to load model") and archive in message.text:
            return message.cause
    return ""


def _last_cause(path: Path) -> str:
    """Return the cause at the end of a log; empty if it went on with something else after it."""
    for message in _reversed(path):
        if message.level in ("TRACE", "DEBUG", "INFO"):
            return ""
        if message.level != "WARN" and not NOT_A_CAUSE.match(message.text):
            return message.cause
    return ""


def _reversed(path: Path) -> list[Message]:
    return [*_messages(read_lines(path, most=TAIL_BYTES))][::-1]


def _messages(lines: list[str]) -> Iterator[Message]:
    """Put each line together with the stack below it."""
    current: Message | None = None
    for line in lines:
        head = stamped(line)
        if current is not None and head is None and _belongs(line, current):
            current.below.append(line)
            continue
        if current is not None:
            yield current
        text = ORIGIN.sub("", head.text.strip()) if head else line.strip()
        current = Message(head.level if head else "", text)
    if current is not None:
        yield current


def _belongs(line: str, current: Message) -> bool:
    """Whether a line without a time is part of the stack of what stands above it."""
    if not line.strip() or line.startswith(("\t", " ", "Caused by: ")):
        return True
    if line.startswith("#"):
        return not current.level and current.text.startswith("#")
    return bool(current.level) and not current.below and EXCEPTION.match(line) is not None
