"""What SageMaker has: endpoints, their configurations and models, and in which state they are."""

from __future__ import annotations

from dataclasses import replace

from marquee.errors import MarqueeError
from marquee.sagemaker.account import Account, Answer, Call

SAGEMAKER = "sagemaker"
IN_SERVICE = "InService"
BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
ENDPOINT, CONFIG, MODEL = "Endpoint", "EndpointConfig", "Model"


def listed(kind: str, part: str) -> Call:
    """Return the call that lists what has ``part`` in its name: endpoints, configs or models."""
    return Call(SAGEMAKER, f"List{kind}s", {"NameContains": part})


def names(account: Account, kind: str, part: str) -> list[str]:
    """Return the names of endpoints, endpoint configurations or models with ``part`` in them."""
    return _names(account.make(listed(kind, part)), kind)


def _names(answer: Answer, kind: str) -> list[str]:
    return [item[f"{kind}Name"] for item in answer.get(f"{kind}s", [])]


def queued(account: Account) -> list[str]:
    """Return the names of the asynchronous endpoints that are in service."""
    found = account.make(Call(SAGEMAKER, "ListEndpoints", {"StatusEquals": IN_SERVICE}))
    return sorted(name for name in _names(found, ENDPOINT) if _is_queued(account, name))


def _is_queued(account: Account, endpoint: str) -> bool:
    config = account.make(described(ENDPOINT, endpoint))["EndpointConfigName"]
    return "AsyncInferenceConfig" in account.make(described(CONFIG, config))


def described(kind: str, name: str) -> Call:
    """Return the call that describes an endpoint, a configuration or a model."""
    return Call(SAGEMAKER, f"Describe{kind}", {f"{kind}Name": name})


def find(account: Account, endpoint: str) -> Answer | None:
    """Return what SageMaker says of an endpoint, or None where there is none of this name."""
    there = endpoint in names(account, ENDPOINT, endpoint)
    return account.make(described(ENDPOINT, endpoint)) if there else None


def serving(account: Account, endpoint: str) -> Answer:
    """Return what SageMaker says of an endpoint that can be changed now, or refuse it."""
    found = find(account, endpoint)
    if found is None:
        raise MarqueeError(
            f"there is no endpoint {endpoint} in this region; create it with: marquee sagemaker "
            "deploy"
        )
    if found["EndpointStatus"] != IN_SERVICE:
        raise MarqueeError(
            f"the endpoint {endpoint} is {found['EndpointStatus']}; an update needs it InService: "
            "wait, or delete it if it has failed"
        )
    return found


def deletion(kind: str, name: str) -> Call:
    """Return the call that deletes one of these, and says so."""
    return Call(SAGEMAKER, f"Delete{kind}", {f"{kind}Name": name}, f"Deleting {kind} {name}")


def in_service(endpoint: str, config_name: str) -> Call:
    """Return the call that waits until the endpoint serves this configuration.

    It fails with SageMaker's reason where the endpoint has failed, or serves another one.
    """

    def pending(answer: Answer) -> str:
        status = answer["EndpointStatus"]
        if status in BUSY:
            return _state(answer)
        if status != IN_SERVICE:  # Failed, OutOfService, UpdateRollbackFailed
            raise MarqueeError(
                f"the endpoint {endpoint} is {status}: {_reason(answer)}; its log is the group "
                f"/aws/sagemaker/Endpoints/{endpoint} of CloudWatch, and what there is goes with: "
                f"marquee sagemaker delete {endpoint}"
            )
        if answer["EndpointConfigName"] != config_name:
            raise MarqueeError(
                f"the update of {endpoint} was rolled back: {_reason(answer)}; the configuration "
                f"{answer['EndpointConfigName']} serves on. Look at the alarms and at the "
                f"CloudWatch group /aws/sagemaker/Endpoints/{endpoint}"
            )
        return ""

    late = (
        f"the endpoint {endpoint} is still {{pending}} after {{seconds}} s; SageMaker goes on by "
        "itself: look at its state in the console, or raise --timeout next time"
    )
    return replace(described(ENDPOINT, endpoint), pending=pending, late=late)


def gone(endpoint: str) -> Call:
    """Return the call that waits until the endpoint is deleted."""

    def pending(answer: Answer) -> str:
        return "being deleted" if endpoint in _names(answer, ENDPOINT) else ""

    late = (
        f"the endpoint {endpoint} is still {{pending}} after {{seconds}} s; run the same command "
        "again for the rest"
    )
    return replace(listed(ENDPOINT, endpoint), pending=pending, late=late)


def _state(answer: Answer) -> str:
    """Say what is going on, with the stage of a blue/green deployment."""
    pending = answer.get("PendingDeploymentSummary", {})
    variants = pending.get("ProductionVariants", [])
    stages = [
        status.get("Status", "") for one in variants for status in one.get("VariantStatus", [])
    ]
    return ": ".join(filter(None, [answer["EndpointStatus"], ", ".join(dict.fromkeys(stages))]))


def _reason(answer: Answer) -> str:
    return " ".join(str(answer.get("FailureReason", "no reason given")).split()).rstrip(".")
