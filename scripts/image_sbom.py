"""What the image is made of, as a CycloneDX document: ``python -m scripts.image_sbom``.

Python's packages are those of docker/requirements.lock, with their hashes. TorchServe's jar holds
libraries of others whose own descriptions were left out of it, so that no scanner sees them: they
are named here. Debian's packages are the running image's to tell::

    docker run --rm --entrypoint dpkg-query marquee:latest \\
        --showformat '${Package}\\t${Version}\\t${Architecture}\\n' --show > packages.tsv
    python -m scripts.image_sbom packages.tsv
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "docker" / "requirements.lock"
JAR = "frontend/model-server.jar"
# Folders of the jar, and the libraries that they are of.
LIBRARIES = {
    "com/google/gson/": "com.google.code.gson/gson",
    "com/google/protobuf/": "com.google.protobuf/protobuf-java",
    "com/lmax/disruptor/": "com.lmax/disruptor",
    "io/grpc/netty/shaded/": "io.grpc/grpc-netty-shaded",
    "io/netty/": "io.netty/netty-all",
    "io/prometheus/client/": "io.prometheus/simpleclient",
    "org/apache/commons/cli/": "commons-cli/commons-cli",
    "org/apache/commons/compress/": "org.apache.commons/commons-compress",
    "org/apache/commons/io/": "commons-io/commons-io",
    "org/apache/logging/log4j/core/": "org.apache.logging.log4j/log4j-core",
    "org/codehaus/groovy/": "org.codehaus.groovy/groovy",
    "org/testng/": "org.testng/testng",
    "org/yaml/snakeyaml/": "org.yaml/snakeyaml",
}
# The one library whose version is left in the jar.
NETTY = "io.netty/netty-all"
NETTY_VERSIONS, NETTY_LINE = "META-INF/io.netty.versions.properties", "netty-common.version="


def document(debian: Path | None = None) -> dict[str, Any]:
    """Return the document.

    Args:
        debian: a file with a line for each package of Debian's: name, version, architecture.
    """
    made = subprocess.run(
        [
            *(sys.executable, "-m", "cyclonedx_py", "requirements", LOCK),
            *("--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "--no-validate"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    described: dict[str, Any] = json.loads(made.stdout)
    described["components"] += [*java(jar()), *(packages(debian) if debian else ())]
    return described


def jar() -> Path:
    """Return TorchServe's jar, of the same version here as in the image."""
    spec = find_spec("ts")
    if spec is None or not spec.origin:
        raise FileNotFoundError("TorchServe is not installed here; run make env first")
    return Path(spec.origin).parent / JAR


def java(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the libraries that a jar holds."""
    with zipfile.ZipFile(path) as opened:
        names = opened.namelist()
        lines = opened.read(NETTY_VERSIONS).decode().splitlines()
    netty = next(line.removeprefix(NETTY_LINE) for line in lines if line.startswith(NETTY_LINE))
    for folder, library in LIBRARIES.items():
        if any(name.startswith(folder) for name in names):
            version = netty if library == NETTY else None
            yield _component("maven", library, version, f"{path.name}/{folder}")


def packages(listed: Path) -> Iterator[dict[str, Any]]:
    """Yield Debian's packages."""
    for line in listed.read_text().splitlines():
        name, version, architecture = line.split("\t")
        yield _component("deb", f"debian/{name}", version, architecture, f"?arch={architecture}")


def _component(
    kind: str, name: str, version: str | None, inside: str, more: str = ""
) -> dict[str, Any]:
    known = {"version": version} if version else {}
    purl = f"pkg:{kind}/{name}" + (f"@{version}" if version else "") + more
    found = [{"name": "marquee:found-in", "value": inside}]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name.rpartition("/")[2],
        **known,
        "purl": purl,
        "properties": found,
    }


if __name__ == "__main__":
    print(json.dumps(document(*map(Path, sys.argv[1:2])), indent=1))  # noqa: T201 - its output
