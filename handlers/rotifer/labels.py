"""Class names and counts, from the text of a ``.names`` file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.rotifer.cfg import parse_options
from handlers.rotifer.detections import Detection

DEFAULT_CLASSES = 2


class LabelsError(ValueError):
    """A ``.names`` or ``.data`` file that does not fit the network."""


@dataclass(frozen=True)
class Labels:
    """Names of the classes.

    Attributes:
        names: of class 0, 1, ...; blank lines at the file's ends do not count.
        keys: one entry a line of the file, blank ones included: what counts are kept for.
    """

    names: Sequence[str]
    keys: Sequence[str]

    @staticmethod
    def parse(text: str) -> Labels:
        """Read the text of a ``.names`` file.

        As in the original, a blank line at the end gives a key of its own, ``""``. A last line
        without a newline and blanks around a name lose or break nothing here.
        """
        lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
        names = [line.strip() for line in text.strip().split("\n")]
        return Labels(names, [line.strip() for line in lines])

    def count(self, detections: Iterable[Detection]) -> dict[str, int]:
        """Return how many detections each class has, 0 for those not seen."""
        counts = dict.fromkeys(self.keys, 0)
        for detection in detections:
            counts[self.names[detection.class_id]] += 1
        return counts


def read_labels(names: Path, data: Path, classes: int) -> Labels:
    """Read the class names and check them against the network's number of classes.

    Raises:
        LabelsError: the ``.data`` file counts other classes, or names are missing.
    """
    stated = parse_options(_text(data)).get("classes", str(DEFAULT_CLASSES))
    if not stated.isdecimal() or int(stated) != classes:
        raise LabelsError(f"{data}: classes is {stated}, but the .cfg has heads for {classes}")
    labels = Labels.parse(_text(names))
    if len(labels.names) < classes:
        raise LabelsError(f"{names}: names {len(labels.names)} classes, expected {classes}")
    return labels


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise LabelsError(f"{path}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path}: is not UTF-8 text; save it as UTF-8") from error
