"""``marquee ray serve``: the archives of the model store on Ray, until Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from urllib.parse import urlsplit

from ray.exceptions import RayError
from rich.console import Console

from marquee import interrupts
from marquee.archives import trust
from marquee.errors import MarqueeError
from marquee.front import rayserver
from marquee.front.settings import read
from marquee.project import Project
from marquee.properties import ADDRESSES
from marquee.ray import application, cluster, hub, keys
from marquee.ray.operator import operated
from marquee.ray.registry import Registry
from marquee.ray.spec import spec_of
from marquee.torchserve import exposure, loaded, preflight
from marquee.torchserve.connection import listens
from marquee.torchserve.curl import curl_lines

WATCH_SECONDS = 0.5


def run(project: Project, names: Collection[str] = (), address: str | None = None) -> None:
    """Serve models of the model store until told to stop.

    Args:
        names: of the models; all if there are none.
        address: of a cluster's head, ``auto`` for the one on this machine; None starts one.

    Raises:
        MarqueeError: why it does not start.
    """
    _check(project, own=address is None)
    interrupted = suppress(interrupts.Interrupted)
    with interrupts.raised(), interrupted, _cluster(project, address):
        try:
            _serve(project, names, own=address is None)
        except RayError as error:
            raise MarqueeError(f"the cluster cannot go on: {cluster.line(error)}") from error


def _cluster(project: Project, address: str | None) -> AbstractContextManager[None]:
    if address is not None:
        return cluster.joined(address, "leave --address out to have one on this machine")
    port = urlsplit(project.properties["metrics_address"]).port
    return cluster.started(project.make_temp() / "ray", _metrics_export_port=port)


def _check(project: Project, *, own: bool) -> None:
    rayserver.check_none(project)
    preflight.check_not_running(project)
    preflight.check_archives(project)
    trust.refuse_cluster(project, "serve with 'marquee serve'")
    # On a cluster that is there, a killed server has left what it had, its address among them.
    names = ADDRESSES if own else ("management_address",)
    preflight.check_ports(project.properties, names=names)
    for warning in [*preflight.left_out(project), *exposure.warnings(project.properties)]:
        Console(stderr=True, soft_wrap=True).print(f"Warning: {warning}", markup=False)


def _serve(project: Project, names: Collection[str], *, own: bool) -> None:
    say = _sayer()
    wanted = {
        f"{name} {version}": spec_of(project, path, name).gpus
        for (name, version), path in loaded.archives(project)
        if not names or name in names
    }
    cluster.check_gpus(wanted)
    hub.start(project)
    keys.write(project)
    registry = Registry(project)
    try:
        application.start(project, keys.digest(project, "inference"))
        _check_listening(project)
        registry.load(names, lambda model: say(f"Loaded {' '.join(model)}"))
        with operated(project, registry) as keeper:
            keeper.wait_ready()
            _tell_ready(project, registry.models(), say)
            while True:
                interrupts.pause(WATCH_SECONDS)
    finally:
        with interrupts.noted() as hurried:
            say("Stopping.")
            left = application.drain(read(project).drain_timeout, hurried)
            if left:
                say(f"{left} requests were cut off.")
            if not own:  # else all of it ends
                application.stop()
            project.key_file.unlink(missing_ok=True)
            say("Stopped.")


def _check_listening(project: Project) -> None:
    """See that Serve listens where it was told to: one that ran already does not heed us."""
    address = project.properties["inference_address"]
    if not listens(address):
        raise MarqueeError(
            f"nothing listens at {address}: Ray Serve runs on this cluster already, with another "
            "address; set inference_address (TS_INFERENCE_ADDRESS) to that, or end it: serve "
            "shutdown"
        )


def _sayer() -> Callable[[str], None]:
    console = Console(highlight=False, soft_wrap=True)

    def say(text: str) -> None:
        console.print(text, markup=False)
        sys.stdout.flush()

    return say


def _tell_ready(project: Project, names: Collection[str], say: Callable[[str], None]) -> None:
    properties = project.properties
    say(
        f"Ready: inference {properties['inference_address']}, "
        f"management {properties['management_address']}, "
        f"metrics {properties['metrics_address']}/metrics"
    )
    lines = [f"  {line}" for line in curl_lines(project, names)]
    for line in ["Try, from another shell in this folder:", *lines] if lines else ():
        say(line)
    say("Ctrl-C stops everything.")
