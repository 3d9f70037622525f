"""What is written from the settings' own models: JSON schemas for editors, a table for people.

``python -m scripts.schemas`` writes schemas/ and the table in docs/operations.md; ``make docs``
calls it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from pydantic import BaseModel

from marquee.front.settings import FrontFile

ROOT = Path(__file__).parents[1]
SCHEMAS: dict[Path, type[BaseModel]] = {ROOT / "schemas" / "front.schema.json": FrontFile}
PAGE = ROOT / "docs" / "operations.md"
HEAD = "| Setting | May be | Default | What for |\n|---|---|---|---|\n"


def schema(model: type[BaseModel]) -> str:
    """Return the text of a model's JSON schema."""
    own = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(own | model.model_json_schema(), indent=2) + "\n"


def page() -> str:
    """Return the page with the table as it must be."""
    text, tables = re.subn(
        re.escape(HEAD) + r"(?:\|.*\n)*", lambda _: HEAD + _rows(), PAGE.read_text()
    )
    if tables != 1:
        raise ValueError(f"{PAGE} has {tables} tables that begin with {HEAD!r}, expected one")
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
    for path, model in SCHEMAS.items():
        path.write_text(schema(model))
    PAGE.write_text(page())
