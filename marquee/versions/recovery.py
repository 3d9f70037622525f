"""Put right what a change left: go back to the old version, or finish what was decided."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from marquee import state
from marquee.errors import MarqueeError
from marquee.interrupts import ignored, raised
from marquee.project import Project
from marquee.torchserve.loads import LogMarks, wait_loaded
from marquee.torchserve.management import Management
from marquee.versions import canaries, drain, history, journal
from marquee.versions.history import StepListener, Steps
from marquee.versions.journal import Plan
from marquee.versions.traffic import AccessLog

LOAD_SECONDS = 300


@contextmanager
def settled(project: Project, model: str, listener: StepListener) -> Iterator[Management]:
    """Hold a model, and lend its server; what a killed command left of it is put right before.

    Raises:
        MarqueeError: another command holds it, or the server does not let us; the plan stays for
            the next try.
    """
    with raised(), journal.locked(project, model), Management.of(project) as api:
        plan = journal.unfinished(project, model)
        if plan is not None:
            with Steps(listener).step("recover") as step:
                step["said"] = recover(project, api, plan)
        yield api


def recover(project: Project, api: Management, plan: Plan) -> str:
    """Deal with the plan of a command that was killed; return in words what was done.

    Raises:
        MarqueeError: the server does not let us; the plan stays for the next try.
    """
    with ignored():
        if plan.committed:
            left = finish(project, api, plan, AccessLog(project, plan.model))
            outcome = f"{plan.new} had been found good and stays" + (f"; {left}" if left else "")
        else:
            left = undo(project, api, plan)
            outcome = f"{plan.old} serves, as before" + (f"; {left}" if left else "")
        reason = f"the command was killed; put right afterwards: {outcome}"
        record = plan.record(history.DONE if plan.committed else "killed", reason)
        history.append(project, record)
        journal.forget(project, plan.model)
    return f"an earlier {plan.action} of {plan.model} to {plan.new} was killed; {outcome}"


def undo(project: Project, api: Management, plan: Plan) -> str | None:
    """Let the old version serve, and leave the new one and the store as they were before.

    A canary goes on as long as nothing has moved, and ends otherwise.

    Returns:
        Why the new version keeps its workers, if it hangs with requests of clients.
    """
    if api.default(plan.model) == plan.new:
        _serve_again(project, api, plan)
    if plan.canary and not plan.moved:
        return None  # whatever workers it was given stay: they may hold requests of clients
    canary = canaries.load(project).get(plan.model) if plan.canary else None
    if canary is not None and canary.version == plan.new:
        canaries.end(project, canary)
    log, new = AccessLog(project, plan.model), api.describe(plan.model, plan.new)
    try:
        if new is not None and plan.moved:
            drain.drain(project, api, new, log)
    except MarqueeError as error:
        return str(error)
    finally:
        if plan.copied:  # what the server has unpacked of it is enough
            (project.model_store / plan.archive).unlink(missing_ok=True)
    if new is None:
        return None
    if plan.registered:
        _remove(api, plan)
    elif new.min_workers != plan.new_workers:
        api.scale(plan.model, plan.new, plan.new_workers)
    return None


def _serve_again(project: Project, api: Management, plan: Plan) -> None:
    since = LogMarks.now(project)
    old = api.describe(plan.model, plan.old)
    if old is not None and old.min_workers == 0:
        api.scale(plan.model, plan.old, max(1, plan.old_workers))
        wait_loaded(project, api, plan.model, plan.old, since=since, seconds=LOAD_SECONDS)
    api.set_default(plan.model, plan.old)


def _remove(api: Management, plan: Plan) -> None:
    """Unregister a version that this change registered.

    Where it is the server's only model, ``/invocations`` without a model's name would answer 400
    from then on (TorchServe looks at the models it started with): there it only loses its workers.
    """
    if api.models() == [plan.model]:
        drain.remove_workers(api, plan.model, plan.new)
    else:
        api.unregister(plan.model, plan.new)


def finish(project: Project, api: Management, plan: Plan, log: AccessLog) -> str | None:
    """Drain the old version and take its workers; return why it kept them, if it did."""
    state.choose_default(project, plan.model, plan.new)
    if plan.keep:
        return f"{plan.old} keeps its workers, as told"
    old = api.describe(plan.model, plan.old)
    if old is None or old.min_workers == 0:
        return None
    try:
        drain.drain(project, api, old, log)
        drain.remove_workers(api, plan.model, plan.old)
    except MarqueeError as error:
        return str(error)
    return None
