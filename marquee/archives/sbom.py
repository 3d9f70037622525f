"""What an archive is made of, as a CycloneDX document: its files, and the packages it asks for.

The same archive gives the same bytes. Nothing of it is run: which packages its code imports is read
from the syntax. Of which version those are is the server's environment's to say.
"""

from __future__ import annotations

import ast
import re
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from marquee.archives import reader, requirement_lines
from marquee.archives.inspection import Inspection, inspect
from marquee.archives.requirements import LISTS
from marquee.scratch import scratch

SPEC = "1.6"
# Archives have these by themselves; TorchServe's own code is `ts`.
OWN = {"handlers", "handler", "marquee"}
Component = dict[str, Any]
INCLUDED = re.compile(rb"^[ \t]*(?:-r|-c|--requirement|--constraint)\b.*$", re.MULTILINE)
# Reads the metadata of all that is installed.
_distributions = cache(metadata.packages_distributions)


def document(archive: Path) -> dict[str, Any]:
    """Return the CycloneDX document of a ``.mar`` file, as JSON has it.

    Raises:
        MarqueeError: it is not safe, damaged, or not what its manifest says.
    """
    inspected = inspect(archive)
    subject = _subject(inspected)
    files = [_file(inspected, name) for name in inspected.entries]
    packages = [*_packages(inspected)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        # Of the bytes it describes: the same archive has the same number.
        "serialNumber": uuid5(NAMESPACE_URL, f"sha256:{inspected.sha256}").urn,
        "version": 1,
        "metadata": {
            "tools": {
                "components": [
                    {"type": "application", "name": "marquee", "version": _version("marquee")}
                ]
            },
            "component": subject,
        },
        "components": [*files, *packages],
        "dependencies": [
            {"ref": subject["bom-ref"], "dependsOn": [one["bom-ref"] for one in packages]}
        ],
    }


def _subject(inspected: Inspection) -> Component:
    manifest = reader.read(inspected.path)
    about = {
        "handler": inspected.handler,
        "content": inspected.content,
        "weights": inspected.weights,
        "weights-from": manifest.weights_origin,
        "archiver": manifest.content.get("archiverVersion"),
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": f"archive:{inspected.model}@{inspected.version}",
        "name": inspected.model,
        "version": inspected.version,
        "hashes": [_sha256(inspected.sha256)],
        "properties": _properties(about),
    }


def _file(inspected: Inspection, name: str) -> Component:
    entry = inspected.entries[name]
    part = "weights" if name == inspected.weights else None
    return {
        "type": "file",
        "bom-ref": f"file:{name}",
        "name": name,
        "hashes": [_sha256(entry.sha256)],
        "properties": _properties({"bytes": entry.size, "part": part}),
    }


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _properties(values: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"name": f"marquee:{name}", "value": str(value)}
        for name, value in values.items()
        if value is not None
    ]


def _packages(inspected: Inspection) -> Iterator[Component]:
    """Yield what the archive asks for: by its requirement files first, then by its imports."""
    with zipfile.ZipFile(inspected.path) as archive:
        required = dict(_required(inspected, archive))
        imported = _imported(inspected, archive)
    for name, line in sorted(required.items()):
        yield _package(name, Requirement(line), {"required": line})
    for name in sorted(imported - required.keys()):
        yield _package(name, None, {"imported": True})


def _package(name: str, asked: Requirement | None, about: dict[str, Any]) -> Component:
    pins = [one.version for one in asked.specifier if one.operator == "=="] if asked else []
    exact = pins[0] if len(pins) == 1 and "*" not in pins[0] else None
    purl = f"pkg:pypi/{name}" + (f"@{exact}" if exact else "")
    return {
        "type": "library",
        "bom-ref": f"package:{name}",
        "name": name,
        **({"version": exact} if exact else {}),
        "purl": purl,
        "properties": _properties(about),
    }


def _required(inspected: Inspection, archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """Yield package and line of the requirement files; of a line that names none, nothing."""
    named = reader.read(inspected.path).files.get("requirementsFile", LISTS[0])
    with scratch() as folder:
        for name in sorted({*LISTS, named} & inspected.entries.keys()):
            target = folder / "requirements.txt"
            # Other files are of wherever it is installed: here they would be anybody's.
            target.write_bytes(INCLUDED.sub(b"", archive.read(name)))
            for line in requirement_lines.read(target):
                try:
                    yield canonicalize_name(Requirement(line.text).name), line.text
                except InvalidRequirement:
                    continue  # an address or a folder: it has no name to list


def _imported(inspected: Inspection, archive: zipfile.ZipFile) -> set[str]:
    """Return the packages whose modules the archive's code imports."""
    sources = [name for name in inspected.entries if name.endswith(".py")]
    own = OWN | {Path(name).stem for name in sources} | {name.split("/")[0] for name in sources}
    found = {module for name in sources for module in _modules(archive.read(name))}
    found -= own | set(sys.stdlib_module_names)
    known = _distributions()
    # Of a module that is not installed here the package's name cannot be known.
    return {canonicalize_name(known.get(module, [module])[0]) for module in found}


def _modules(source: bytes) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return  # what cannot be imported imports nothing
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # a clone that is not installed
        return "unknown"
