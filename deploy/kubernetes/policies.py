"""What a pod of ours may do: Kubernetes' Pod Security Standard "restricted", and more of our own.

Source: "Pod Security Standards" in the documentation of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]
Container = Mapping[str, Any]

# Where a resource has the specification of its pods.
PODS: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template", "spec"),
    "ServingRuntime": ("spec",),
}
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
HOST = ("hostNetwork", "hostPID", "hostIPC")
PROFILES = ("RuntimeDefault", "Localhost")


def problems(document: Document) -> Iterator[str]:
    """Yield a sentence for each thing that a resource's pods may do and should not."""
    spec: Any = document
    for key in PODS.get(str(document["kind"]), ()):
        spec = spec[key]
    if spec is document:
        return
    where = f"{document['kind']} {document['metadata']['name']}"
    for problem in _of_pod(spec):
        yield f"{where}: {problem}"
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        # What a container does not say, its pod says.
        context = {**spec.get("securityContext", {}), **container.get("securityContext", {})}
        for problem in (*_restricted(container, context), *_ours(container)):
            yield f"{where}, container {container['name']}: {problem}"
    # Of KServe's runtimes the account is the InferenceService's.
    if "template" in document["spec"] and spec.get("automountServiceAccountToken") is not False:
        yield f"{where}: it gets Kubernetes' token; set automountServiceAccountToken: false"


def _of_pod(spec: Document) -> Iterator[str]:
    for name in HOST:
        if spec.get(name):
            yield f"{name} is the node's; leave it out"
    for volume in spec.get("volumes", ()):
        kinds = volume.keys() - {"name"}
        if not kinds <= VOLUMES:
            yield f"volume {volume['name']} is of the kind {', '.join(kinds)}, which is refused"
        if "emptyDir" in kinds and "sizeLimit" not in volume["emptyDir"]:
            yield f"volume {volume['name']} may fill the node; set emptyDir.sizeLimit"


def _restricted(container: Container, context: Document) -> Iterator[str]:
    """Yield what the standard refuses of a container."""
    if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
        yield "it may gain rights; set allowPrivilegeEscalation: false, and no privileged"
    if context.get("runAsNonRoot") is not True or context.get("runAsUser", 1) == 0:
        yield "it may be root; set runAsNonRoot: true, and a runAsUser above 0"
    if context.get("seccompProfile", {}).get("type") not in PROFILES:
        yield "it may make any system call; set seccompProfile.type: RuntimeDefault"
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()) or capabilities.get("add"):
        yield "it keeps capabilities; set capabilities.drop: [ALL], and add none"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield "it takes a port of the node's; leave out hostPort"


def _ours(container: Container) -> Iterator[str]:
    """Yield what the standard lets pass."""
    if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
        yield "it may change its own files; set readOnlyRootFilesystem: true"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "it may take all of the node's memory; set resources.limits.memory"
    if container["image"].rpartition(":")[2] in ("latest", container["image"]):
        yield f"{container['image']} may be another image tomorrow; name a version"
