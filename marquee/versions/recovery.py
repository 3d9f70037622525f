"""Put right what a swap left: go back to the old version, or finish what was decided."""

from __future__ import annotations

from marquee import state
from marquee.errors import MarqueeError
from marquee.interrupts import ignored
from marquee.project import Project
from marquee.torchserve.loads import LogMarks, wait_loaded
from marquee.torchserve.management import Management
from marquee.versions import drain, history, journal
from marquee.versions.journal import Plan
from marquee.versions.manner import Manner
from marquee.versions.traffic import AccessLog, Mark

LOAD_SECONDS = 300


def recover(project: Project, api: Management, plan: Plan) -> str:
    """Deal with the plan of a command that was killed; return in words what was done.

    Raises:
        MarqueeError: the server does not let us; the plan stays for the next try.
    """
    with ignored():
        if plan.committed:
            left = finish(project, api, plan, since=AccessLog.of(project, plan.model).mark())
            said = f"{plan.new} had been found good and stays" + (f"; {left}" if left else "")
        else:
            left = undo(project, api, plan)
            said = f"{plan.old} serves, as before" + (f"; {left}" if left else "")
        history.append(
            project,
            {
                "model": plan.model,
                "action": plan.action,
                "from": plan.old,
                "from_workers": plan.old_workers,
                "to": plan.new,
                "registered": plan.registered,
                "outcome": history.DONE if plan.committed else "killed",
                "reason": f"the command was killed; put right afterwards: {said}",
            },
        )
        journal.forget(project, plan.model)
    return f"an earlier {plan.action} of {plan.model} to {plan.new} was killed; {said}"


def undo(project: Project, api: Management, plan: Plan) -> str | None:
    """Let the old version serve, and leave the new one and the store as they were before.

    Returns:
        Why the new version keeps its workers, if it hangs with requests of clients.
    """
    log = AccessLog.of(project, plan.model)
    if api.default(plan.model) == plan.new:
        _serve_again(project, api, plan)
    since, found = log.mark(), api.describe(plan.model, plan.new)
    manner = None if found is None else Manner.of(project.model_store, found)
    if plan.copied:  # what the server has unpacked of it is enough
        (project.model_store / plan.archive).unlink(missing_ok=True)
    if found is None or manner is None:
        return None
    if plan.moved:
        try:
            drain.drain(project, api, found, manner, since=since)
        except MarqueeError as error:
            return str(error)
    if plan.registered:
        _remove(api, plan)
    elif found.min_workers != plan.new_workers:
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
    """Unregister a version that this swap registered.

    Where it is the server's only model, ``/invocations`` without a model's name would answer 400
    from then on (TorchServe looks at the models it started with): there it only loses its workers.
    """
    if api.models() == [plan.model]:
        drain.remove_workers(api, plan.model, plan.new)
    else:
        api.unregister(plan.model, plan.new)


def finish(project: Project, api: Management, plan: Plan, *, since: Mark) -> str | None:
    """Drain the old version and take its workers; return why it kept them, if it did."""
    state.choose_default(project, plan.model, plan.new)
    if plan.keep:
        return f"{plan.old} keeps its workers, as told"
    old = api.describe(plan.model, plan.old)
    if old is None or old.min_workers == 0:
        return None
    try:
        drain.drain(project, api, old, Manner.of(project.model_store, old), since=since)
        drain.remove_workers(api, plan.model, plan.old)
    except MarqueeError as error:
        return str(error)
    return None
