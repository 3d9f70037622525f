"""Parameters in SageMaker's custom attributes, the only header of a caller that it passes on.

``X-Marquee-Top-K=3;X-Marquee-Ages=25%2C35``: items apart by semicolons, values percent-encoded.
Other items are anybody's (a trace id, ``model=cifar``) and no parameters.
"""

from __future__ import annotations

from urllib.parse import unquote

HEADER = "x-amzn-sagemaker-custom-attributes"


def parameter_items(attributes: str, prefix: str) -> dict[str, str]:
    """Return the items whose name starts with ``prefix``, names in lower case, values decoded."""
    pairs = (item.partition("=") for item in attributes.split(";"))
    named = ((name.strip().lower(), value.strip()) for name, equals, value in pairs if equals)
    return {name: unquote(value) for name, value in named if name.startswith(prefix)}
