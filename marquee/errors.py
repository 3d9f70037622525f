"""The errors of the operator's side; their text is what the user reads."""


class MarqueeError(Exception):
    """Says in a sentence what was wrong, what was expected and what to do."""
