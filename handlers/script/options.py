"""The adapter's own settings: ``marquee.options`` of the archive's model-config.yaml."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.runtime.settings import Settings, SettingsError

STACK_CHOICES = ("auto", "always", "never")
PRECISIONS = ("fp32", "tf32")


@dataclass(frozen=True)
class Options:
    """What an archive says of its script.

    Attributes:
        program: the script's file name; None leaves it to SAGEMAKER_PROGRAM.
        stack: ``auto`` predicts several requests in one call where no function of the script
            sees the difference; ``always`` also with the script's own functions; ``never``.
    """

    program: str | None = None
    stack: str = "auto"


def read_options(settings: Settings) -> Options:
    """Check ``settings``.

    Raises:
        SettingsError: an option is unknown or wrong, or the precision is not the script's.
    """
    for key in settings.options:
        if key not in ("program", "stack"):
            raise SettingsError(f"marquee.options.{key} is unknown; known are program, stack")
    options = Options(**settings.options)
    if options.stack not in STACK_CHOICES:
        raise SettingsError(f"marquee.options.stack is {options.stack!r}, expected {STACK_CHOICES}")
    if options.program is not None and not isinstance(options.program, str):
        raise SettingsError(f"marquee.options.program is {options.program!r}, expected a file name")
    if settings.precision not in PRECISIONS:
        raise SettingsError(
            f"marquee.precision is {settings.precision!r}; a script chooses its number format "
            f"itself, expected {PRECISIONS}"
        )
    return options
