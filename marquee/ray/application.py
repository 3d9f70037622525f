"""What is deployed on a cluster: a hub, a door, and an application of Ray Serve for each model.

An application has a deployment for each version. Its own first deployment, which Serve wants, has
no replicas: requests go from the door to the versions. A deployment's code version is the archive's
digest, so that Serve leaves the replicas of a version alone that has not changed, and changes the
number of its workers without starting them anew.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import ray
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.schema import LoggingConfig

from marquee.archives.worker import WorkerReply, WorkerRequest
from marquee.errors import MarqueeError
from marquee.front.settings import read
from marquee.interrupts import until
from marquee.project import Project
from marquee.ray import hub as hubs
from marquee.ray.door import Door
from marquee.ray.replica import Common, Replica
from marquee.ray.spec import (
    ReplicaState,
    Route,
    Routes,
    VersionSpec,
    VersionState,
    spec_of,
)
from marquee.torchserve.connection import listens

__all__ = [
    "ReplicaState",
    "VersionSpec",
    "VersionState",
    "deploy",
    "describe",
    "drain",
    "observe",
    "remove",
    "spec_of",
    "start",
    "stop",
]

DOOR = "marquee-door"
HEALTH_SECONDS = 1.0
# Of Serve's proxy at its second try: each has more time than the one before, five seconds at first.
PROXY_SECONDS = 120.0
# How often a version that does not load is tried.
TRIES = 3
# Of a worker that is to end: it waits this long between two looks at what it has in hand.
DRAIN_LOOK_SECONDS = 0.2
# The doors tell twice a second what they have.
TOLD_SECONDS = 1.0
# That requests of a version which is to end may wait at the door.
QUEUED_SECONDS = 20.0
QUIET = LoggingConfig(enable_access_log=False, log_level="WARNING")


class Model:
    """The first deployment of a model's application; it has no replicas, and is never asked."""

    def __init__(self, *versions: Any) -> None:
        self.versions = versions


def start(project: Project, key_digest: str = "") -> None:
    """Start the hub and the door on the cluster, or tell those that are there of a change.

    Args:
        key_digest: SHA-256, in hex, of the key that requests need; empty where they need none.
    """
    configured = project.properties
    routes = Routes(
        key=key_digest,
        max_request_size=int(configured.get("max_request_size", Routes.max_request_size)),
        max_response_size=int(configured.get("max_response_size", Routes.max_response_size)),
        decode_input_request=configured.get("decode_input_request", "true").lower() == "true",
        default_model=read(project).default_model or "",
    )
    ray.get(hubs.start(project).configure.remote(routes))
    address = urlsplit(configured["inference_address"])
    host = address.hostname or "127.0.0.1"
    # Nobody else reaches a loopback address of another node.
    where = "HeadOnly" if host in ("127.0.0.1", "localhost", "::1") else "EveryNode"
    options = {"host": host, "port": address.port, "keep_alive_timeout_s": 75}
    _start_serve(address.geturl(), where, options)
    door = serve.deployment(
        name="door",
        max_ongoing_requests=100_000,
        health_check_period_s=HEALTH_SECONDS,
        graceful_shutdown_wait_loop_s=DRAIN_LOOK_SECONDS,
        ray_actor_options={"num_cpus": 0, "label_selector": _here()},
        logging_config=QUIET,
    )(Door)
    _pin(door, "door")
    serve.run(door.bind(), name=DOOR, route_prefix="/")


def _start_serve(url: str, where: str, options: Mapping[str, Any]) -> None:
    """Start Ray Serve, or find the one that is there.

    Raises:
        MarqueeError: nothing of it listens after two tries.
    """
    try:
        serve.start(proxy_location=where, http_options=dict(options), logging_config=QUIET)
    except (TimeoutError, RayActorError) as error:
        # On a busy machine its proxy is not ready in time: Serve kills it, and starts another.
        _wait_listening(url, error)
        serve.start()


def _wait_listening(url: str, error: Exception) -> None:
    if not until(lambda: listens(url), PROXY_SECONDS):
        raise MarqueeError(
            f"Ray Serve does not listen at {url} {PROXY_SECONDS:.0f} s after its start; is the "
            "machine busy with other work?"
        ) from error


def _here() -> dict[str, str]:
    return {"ray.io/node-id": ray.get_runtime_context().get_node_id()}


def _pin(deployment: serve.Deployment, version: str) -> None:
    """Give a deployment a code version of ours; Serve would take a new one each time."""
    deployment._version = version


def deploy(
    model: str,
    versions: Mapping[str, VersionSpec],
    default: str,
    share: tuple[str, float] | None = None,
) -> None:
    """Serve these versions of a model, and no others; returns before new workers have loaded.

    Args:
        default: the version that answers where none is named.
        share: a canary's version, and the share (0 to 1) of those requests that it gets.
    """
    hub = hubs.find()
    routes: Routes = ray.get(hub.current.remote())
    common = Common(routes.max_response_size, routes.decode_input_request)
    known = routes.models.get(model)
    for version in {*versions, *(known.versions if known else ())}:
        if known is None or known.versions.get(version) != versions.get(version):
            ray.get(hub.forget.remote(model, version))
    # First the routes, by which new workers find their archives; but nobody is sent to a version
    # that is gone already.
    ray.get(hub.route.remote(model, Route(default, dict(versions), share)))
    there = model in serve.status().applications
    if there and known is not None and known.versions == versions:
        return  # only who answers has changed
    ends = _ending(known, versions)
    if ends:
        _wait_answered(hub, model, ends)
    bound = [_deployment(spec, common) for spec in versions.values() if spec.max_workers]
    if bound:
        _run(model, bound)
    elif there:
        serve.delete(model, _blocking=False)


def _ending(known: Route | None, versions: Mapping[str, VersionSpec]) -> set[str]:
    """Return the versions that have workers and are to have none."""
    wanted = {version for version, spec in versions.items() if spec.max_workers}
    had = known.versions.items() if known else ()
    return {version for version, spec in had if spec.max_workers} - wanted


def _wait_answered(hub: Any, model: str, versions: set[str]) -> None:
    """Wait until nobody at the door waits for these versions: Serve drains only their workers."""
    time.sleep(TOLD_SECONDS)

    def answered() -> bool:
        waiting: Mapping[str, int] = ray.get(hub.pending.remote(model))
        return not any(waiting.get(version) for version in versions)

    until(answered, QUEUED_SECONDS)


def _run(model: str, versions: list[serve.Application]) -> None:
    nobody = {"min_replicas": 0, "initial_replicas": 0, "max_replicas": 1}
    first = serve.deployment(
        name="model", autoscaling_config=nobody, ray_actor_options={"num_cpus": 0}
    )(Model)
    _pin(first, "model")
    target = serve.RunTarget(first.bind(*versions), name=model, route_prefix=None)
    serve.run_many([target], wait_for_applications_running=False)


def _deployment(spec: VersionSpec, common: Common) -> serve.Application:
    """Return a version's deployment."""
    options: dict[str, Any] = {
        "name": spec.version,
        "max_ongoing_requests": spec.slots,
        "health_check_period_s": HEALTH_SECONDS,
        "health_check_timeout_s": spec.response_timeout + 10,
        "graceful_shutdown_timeout_s": 2 * spec.response_timeout + 10,
        "graceful_shutdown_wait_loop_s": DRAIN_LOOK_SECONDS,
        "max_constructor_retry_count": TRIES,
        "max_surge_percent": 100,
        "logging_config": QUIET,
        "ray_actor_options": {"num_cpus": spec.cpus, "num_gpus": spec.gpus},
    }
    if spec.min_workers == spec.max_workers:
        options["num_replicas"] = spec.min_workers
    else:
        options["autoscaling_config"] = {
            "min_replicas": spec.min_workers,
            "max_replicas": spec.max_workers,
            "target_ongoing_requests": spec.batch_size,
            "upscale_delay_s": spec.upscale_delay,
            "downscale_delay_s": spec.downscale_delay,
            "look_back_period_s": max(2.0, min(30.0, spec.upscale_delay)),
            "metrics_interval_s": 1.0,
        }
    deployment = serve.deployment(**options)(Replica)
    # What a worker is made of, apart from how many there are.
    made_of = (spec.sha256, spec.batch_size, spec.max_batch_delay, spec.response_timeout, common)
    _pin(deployment, hashlib.sha256(repr(made_of).encode()).hexdigest()[:16])
    return deployment.bind(spec, common)


def remove(model: str) -> None:
    """Serve a model no more; its workers answer what they have, then end."""
    hub = hubs.find()
    routes: Routes = ray.get(hub.current.remote())
    known = routes.models.get(model)
    ray.get(hub.route.remote(model, None))
    if known:
        _wait_answered(hub, model, {*known.versions})
    serve.delete(model, _blocking=False)


def drain(seconds: float, hurried: Callable[[], bool]) -> int:
    """Take no more requests, and return when those in flight are answered; or how many are not.

    Args:
        seconds: to wait at the most.
        hurried: whether to wait no longer.
    """
    try:
        hub = hubs.find()
    except ValueError:
        return 0  # it has not come so far
    routes: Routes = ray.get(hub.current.remote())
    ray.get(hub.configure.remote(replace(routes, draining=True)))
    time.sleep(TOLD_SECONDS)  # until the doors have told what they have

    def answered() -> bool:
        return hurried() or not ray.get(hub.unanswered.remote())

    until(answered, seconds)
    return int(ray.get(hub.unanswered.remote()))


def stop() -> None:
    """Remove everything that is ours from the cluster, and Serve where it has nothing else."""
    try:
        hub = hubs.find()
    except ValueError:
        return
    routes: Routes = ray.get(hub.current.remote())
    there = serve.status().applications
    for name in {DOOR, *routes.models} & there.keys():
        serve.delete(name, _blocking=False)
    if not there.keys() - {DOOR, *routes.models}:
        serve.shutdown()  # type: ignore[no-untyped-call]
    ray.kill(hub)


def observe(model: str) -> list[VersionState]:
    """Return how each version of a model is now; none where the model is not served."""
    hub = hubs.find()
    routes, states, pending = ray.get(
        [hub.current.remote(), hub.states.remote(model), hub.pending.remote(model)]
    )
    route = routes.models.get(model)
    found = []
    for version, spec in route.versions.items() if route else ():
        replicas = tuple(one for one in states if one.version == version)
        in_hand = sum(one.in_hand for one in replicas)
        waiting = max(0, pending.get(version, 0) - in_hand)
        found.append(VersionState(spec, replicas, waiting))
    return found


def describe(model: str, version: str = "") -> dict[str, Any] | None:
    """Return what a version's handler says of itself; None where it says nothing of the kind.

    Raises:
        KeyError: there is no such model or version.
        TimeoutError: no worker answers.
    """
    routes: Routes = ray.get(hubs.find().current.remote())
    route = routes.models[model]
    spec = route.versions[version or route.default]
    handle: Any = serve.get_deployment_handle(spec.version, spec.name)
    asked = WorkerRequest({"describe": "True"}, None)
    reply: WorkerReply = handle.ask.remote(asked).result(timeout_s=spec.response_timeout)
    try:
        said = json.loads(reply.body)
    except ValueError:
        return None
    return said if isinstance(said, dict) and reply.status == 200 else None
