"""What is written from the settings' own model: a JSON schema for editors, a table for people.

``python -m scripts.schemas`` writes schemas/front.schema.json and the table in
docs/operations.md; ``make docs`` calls it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from marquee.front.settings import FrontFile

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "schemas" / "front.schema.json"
PAGE = ROOT / "docs" / "operations.md"
HEAD = "| Setting | May be | Default | What for |\n|---|---|---|---|\n"


def schema() -> str:
    """Return the JSON schema of config/front.yaml."""
    own = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(own | FrontFile.model_json_schema(), indent=2) + "\n"


def page() -> str:
    """Return the page with the table as it must be."""
    text, places = re.subn(
        re.escape(HEAD) + r"(?:\|.*\n)*", lambda _: HEAD + _rows(), PAGE.read_text()
    )
    if places != 1:
        raise ValueError(f"{PAGE} has {places} tables that begin with {HEAD!r}, expected one")
    return text


def _rows() -> str:
    rows = (
        f"| `{name}` | {field.title} | {_default(field.default)} | {field.description} |\n"
        for name, field in FrontFile.model_fields.items()
    )
    return "".join(rows)


def _default(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else ""


if __name__ == "__main__":
    SCHEMA.parent.mkdir(exist_ok=True)
    SCHEMA.write_text(schema())
    PAGE.write_text(page())
