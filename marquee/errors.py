"""The one error of the operator's side; its text is what the user reads."""


class MarqueeError(Exception):
    """Says in a sentence what was wrong, what was expected and what to do."""
