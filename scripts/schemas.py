"""What is written from the models of settings: JSON schemas for editors, tables for people.

``python -m scripts.schemas`` writes them into schemas/ and docs/; ``make docs`` calls it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from marquee.container.variables import ContainerSettings
from marquee.front.settings import FrontFile

ROOT = Path(__file__).parents[1]
SCHEMAS = ROOT / "schemas"
DRAFT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
SETTINGS = "| Setting | May be | Default | What for |\n|---|---|---|---|\n"
VARIABLES = "| Variable | May be | Default | What for |\n|---|---|---|---|\n"


def written() -> dict[Path, str]:
    """Return each file that is written from a model, and what it must hold."""
    operations, container = ROOT / "docs" / "operations.md", ROOT / "docs" / "container.md"
    front = FrontFile.model_json_schema()
    settings = {f"`{name}`": field for name, field in FrontFile.model_fields.items()}
    variables = {
        ", then ".join(f"`{name}`" for name in _variables(field)): field
        for field in ContainerSettings.model_fields.values()
    }
    return {
        SCHEMAS / "front.schema.json": json.dumps(DRAFT | front, indent=2) + "\n",
        SCHEMAS / "container.schema.json": json.dumps(DRAFT | _of_variables(), indent=2) + "\n",
        operations: _with_table(operations.read_text(), SETTINGS, settings),
        container: _with_table(container.read_text(), VARIABLES, variables),
    }


def _variables(field: FieldInfo) -> list[str]:
    """Return the variables that set a field, the first that counts first."""
    alias = field.validation_alias
    if not isinstance(alias, AliasChoices):
        raise TypeError(f"{field!r} has no variables")
    return [str(name) for name in alias.choices]


def _of_variables() -> dict[str, Any]:
    """Return the schema of the container's variables, each under all its names."""
    properties: dict[str, Any] = {}
    by_first_name = ContainerSettings.model_json_schema()["properties"]
    for field in ContainerSettings.model_fields.values():
        first, *others = _variables(field)
        may_be = dict(by_first_name[first])
        if field.default is None:  # a variable that is not set is no null
            del may_be["default"]
            may_be |= may_be.pop("anyOf")[0]
        properties[first] = may_be
        for name in others:
            properties.setdefault(name, may_be | {"description": f"In place of {first}."})
    about = "The container's variables; a number is written as text in an environment."
    return {"title": "container", "description": about, "type": "object", "properties": properties}


def _with_table(page: str, head: str, fields: dict[str, FieldInfo]) -> str:
    """Return a page with its one table of settings as it must be."""
    table = head + "".join(_rows(fields))
    text, places = re.subn(re.escape(head) + r"(?:\|.*\n)*", lambda _: table, page)
    if places != 1:
        raise ValueError(f"the page has {places} tables that begin with {head!r}, expected one")
    return text


def _rows(fields: dict[str, FieldInfo]) -> Iterator[str]:
    for name, field in fields.items():
        yield f"| {name} | {field.title} | {_default(field.default)} | {field.description} |\n"


def _default(value: object) -> str:
    if isinstance(value, bool | Path):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else ""


if __name__ == "__main__":
    SCHEMAS.mkdir(exist_ok=True)
    for path, text in written().items():
        path.write_text(text)
