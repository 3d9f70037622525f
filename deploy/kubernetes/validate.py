"""Check the manifests: their form for each release of Kubernetes, and what a pod may do.

``python -m deploy.kubernetes.validate`` prints a sentence a problem, and fails where there is one.
Without kubectl the files are checked as they are written, which leaves out what patches do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from packaging.version import Version

from deploy.kubernetes import policies

FOLDER = Path(__file__).parent
# The components that no overlay has from the start, in ways that they go together.
CHOICES = (
    ("cpu", "models-s3", "monitoring", "hpa"),
    ("gpu", "models-s3", "monitoring", "keda"),
)
OLDEST = Version("1.28")
# Kustomize's own, and values of a chart: no resources.
NO_RESOURCES = {"Kustomization", "Component", None}

Document = dict[str, Any]
# It reads all of a release's definitions for each resource anew.
kubernetes_validate.utils.schema_contents = lru_cache(maxsize=32)(
    kubernetes_validate.utils.schema_contents
)


def written() -> list[tuple[Path, Document]]:
    """Return every document in the folder that is a resource or a patch of one."""
    return [
        (path, document)
        for path in sorted(FOLDER.rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document.get("kind") not in NO_RESOURCES
    ]


def overlays() -> list[Path]:
    """Return the folders that are meant to be applied."""
    found = (path.parent for path in FOLDER.rglob("kustomization.yaml"))
    return sorted(path for path in found if path.name != "base" and "components" not in path.parts)


def render(folder: Path) -> list[Document]:
    """Return the resources that Kustomize makes of a folder.

    Raises:
        ValueError: in kubectl's words, why it makes none.
    """
    done = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f"{folder}: {done.stderr.strip()[-600:]}")
    return list(yaml.safe_load_all(done.stdout))


def render_choice(components: Sequence[str]) -> list[Document]:
    """Return the resources of the base with these components."""
    with tempfile.TemporaryDirectory(prefix="marquee-scratch-kustomize-") as temp:
        folder = Path(temp).resolve()
        here = os.path.relpath(FOLDER, folder)
        chosen = {
            "namespace": "marquee",
            "resources": [f"{here}/base"],
            "components": [f"{here}/components/{name}" for name in components],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(chosen))
        return render(folder)


def versions() -> list[str]:
    """Return the releases of Kubernetes whose schemas are at hand, from the oldest that counts."""
    known = {kubernetes_validate.utils.major_minor(one) for one in _all_versions()}
    return sorted((one for one in known if Version(one) >= OLDEST), key=Version)


def _all_versions() -> list[str]:
    found = kubernetes_validate.utils.all_versions()
    return [str(one) for one in found]


def schema_problems(documents: Iterable[Document]) -> Iterator[str]:
    """Yield how resources break Kubernetes' schemas; those of others have none here."""
    for version, document in product(versions(), documents):
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            continue
        except kubernetes_validate.ValidationError as error:
            name, place = document["metadata"]["name"], ".".join(map(str, error.path))
            yield (
                f"{document['kind']} {name}, by the schemas of Kubernetes {version}: {place}: "
                f"{error.message[:300]}"
            )


def problems(rendered: Iterable[Document]) -> Iterator[str]:
    """Yield a sentence for each problem of resources; the same resource is looked at once."""
    texts = sorted({json.dumps(document, sort_keys=True) for document in rendered})
    documents = [json.loads(text) for text in texts]
    yield from schema_problems(documents)
    for document in documents:
        yield from policies.problems(document)


def main() -> int:
    """Print what is wrong; return the exit code."""
    if shutil.which("kubectl") is None:
        sys.stderr.write("kubectl is not installed: the manifests are checked unpatched\n")
        rendered = [one for path, one in written() if "base" in path.parts]
    else:
        made = [*map(render, overlays()), *map(render_choice, CHOICES)]
        rendered = [document for documents in made for document in documents]
    found = list(problems(rendered))
    for problem in found:
        sys.stderr.write(f"{problem}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
