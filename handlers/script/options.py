"""The adapter's own settings: ``marquee.options`` of the archive's model-config.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass

from handlers.runtime.settings import Settings, SettingsError

STACK_CHOICES = ("auto", "always", "never")
KNOWN = ("program", "stack", "example_type")
# A type, a subtype, and parameters behind it, in printable ASCII.
MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(\s*;[ -~]*)?", re.ASCII)
PRECISIONS = ("fp32", "tf32")


@dataclass(frozen=True)
class ScriptOptions:
    """What an archive says of its script.

    Attributes:
        program: the script's file name; None leaves it to SAGEMAKER_PROGRAM.
        stack: ``auto`` predicts several requests in one call where no function of the script
            sees the difference; ``always`` also with the script's own functions; ``never``.
        example_type: the media type of the archive's example; None goes by its file's name.
    """

    program: str | None = None
    stack: str = "auto"
    example_type: str | None = None

    @property
    def example_headers(self) -> dict[str, str]:
        """The headers of a request with the example; none where its file's name tells the type."""
        return {} if self.example_type is None else {"Content-Type": self.example_type}


def read_options(settings: Settings) -> ScriptOptions:
    """Check ``settings``.

    Raises:
        SettingsError: an option is unknown or wrong, or the precision is not the script's.
    """
    for key in settings.options:
        if key not in KNOWN:
            raise SettingsError(f"marquee.options.{key} is unknown; known are {', '.join(KNOWN)}")
    options = ScriptOptions(**settings.options)
    if options.stack not in STACK_CHOICES:
        raise SettingsError(f"marquee.options.stack is {options.stack!r}, expected {STACK_CHOICES}")
    if options.program is not None and not isinstance(options.program, str):
        raise SettingsError(f"marquee.options.program is {options.program!r}, expected a file name")
    kind = options.example_type
    if kind is not None and (not isinstance(kind, str) or not MEDIA_TYPE.fullmatch(kind)):
        raise SettingsError(
            f"marquee.options.example_type is {kind!r}, expected a type such as application/x-image"
        )
    if settings.precision not in PRECISIONS:
        raise SettingsError(
            f"marquee.precision is {settings.precision!r}; a script chooses its number format "
            f"itself, expected {PRECISIONS}"
        )
    return options
