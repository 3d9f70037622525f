"""The image's bill of materials: all of the lock, what hides in the jar, Debian's packages."""

import json
import re
import zipfile
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scripts import image_sbom


def test_it_holds_the_lock_the_jar_and_debian(tmp_path: Path) -> None:
    debian = tmp_path / "packages.tsv"
    debian.write_text("haproxy\t2.6.12-1+deb12u2\tamd64\ntini\t0.19.0-1\tamd64\n")
    document = image_sbom.document(debian)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None
    purls = [one["purl"].partition("?")[0] for one in document["components"]]
    locked = re.findall(r"^[\w.-]+(?:\[[^]]*\])?==", image_sbom.LOCK.read_text(), re.MULTILINE)
    assert len([purl for purl in purls if purl.startswith("pkg:pypi/")]) == len(locked) > 50
    assert "pkg:deb/debian/haproxy@2.6.12-1+deb12u2" in purls
    torchserve = next(one for one in document["components"] if one["name"] == "torchserve")
    assert torchserve["version"] == "0.12.0"
    assert torchserve["externalReferences"][0]["hashes"][0]["alg"] == "SHA-256"


def test_the_jars_libraries_are_all_named() -> None:
    """Those that no scanner can see: a new TorchServe may bring others."""
    found = {one["name"]: one.get("version") for one in image_sbom.java(image_sbom.jar())}
    assert len(found) == len(image_sbom.LIBRARIES)
    assert found["netty-all"] == "4.1.53.Final"
    with zipfile.ZipFile(image_sbom.jar()) as opened:
        assert not [name for name in opened.namelist() if name.startswith("META-INF/maven/")]
