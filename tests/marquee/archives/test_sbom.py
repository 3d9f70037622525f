"""The bill of materials of an archive: right by CycloneDX's own schema, and complete."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from marquee.archives import sbom
from marquee.archives.inspection import inspect
from marquee.cli.main import main
from marquee.errors import MarqueeError
from tests.marquee.archives import odd

CODE = b"""
import json, PIL.Image, no_such_module
from torch import nn
from handlers.runtime import handler
import helper
"""
REQUIREMENTS = b"""
click==8.1.0 ; python_version > "3"
httpx>=0.27
rich==13.*
./a/folder
-r /etc/hostname
--constraint=more.txt
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = odd.mar(tmp_path / "net-2.0.mar", odd.model(serializedFile="net.pth"))
    with zipfile.ZipFile(path, "a") as more:
        more.writestr("net.pth", b"weights")
        more.writestr("helper.py", CODE)
        more.writestr("broken.py", b"import (")
        more.writestr("requirements.txt", REQUIREMENTS)
    return path


def components(document: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in document["components"] if one["type"] == kind}


def test_it_is_valid_by_cyclonedxs_own_schema(archive: Path) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(sbom.document(archive))) is None
    wrong = sbom.document(archive) | {"components": [{"type": "no such type"}]}
    assert validator.validate_str(json.dumps(wrong)) is not None


def test_every_file_is_in_it_with_its_digest(archive: Path) -> None:
    document, entries = sbom.document(archive), inspect(archive).entries
    found = components(document, "file")
    digests = {name: one["hashes"][0]["content"] for name, one in found.items()}
    assert digests == {name: entry.sha256 for name, entry in entries.items()}
    assert {"name": "marquee:part", "value": "weights"} in found["net.pth"]["properties"]


def test_packages_are_those_that_are_required_and_imported(archive: Path) -> None:
    document = sbom.document(archive)
    found = components(document, "library")
    purls = {name: one["purl"] for name, one in found.items()}
    assert purls == {
        "click": "pkg:pypi/click@8.1.0",
        "httpx": "pkg:pypi/httpx",
        "rich": "pkg:pypi/rich",
        "pillow": "pkg:pypi/pillow",
        "torch": "pkg:pypi/torch",
        "no-such-module": "pkg:pypi/no-such-module",
    }
    assert document["dependencies"][0]["dependsOn"] == [f"package:{name}" for name in found]


def test_the_model_is_what_it_describes(archive: Path) -> None:
    about = sbom.document(archive)["metadata"]["component"]
    assert (about["type"], about["name"], about["version"]) == (
        "machine-learning-model",
        "net",
        "2.0",
    )
    assert about["hashes"][0]["content"] == inspect(archive).sha256


def test_the_same_archive_gives_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    written = []
    for name in ("a.json", "b.json"):
        words = ["archive", "sbom", str(archive), "-o", str(tmp_path / name)]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        written.append((tmp_path / name).read_bytes())
    printed = CliRunner().invoke(main, ["archive", "sbom", str(archive)]).output.encode()
    assert written == [printed, printed]


def test_an_archive_that_is_not_safe_has_none(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(MarqueeError, match="no zip file"):
        sbom.document(archive)
