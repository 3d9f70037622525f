"""How an update reaches the traffic: blue/green, all at once or by steps, with alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker import alarms
from marquee.sagemaker.account import Call

ALL_AT_ONCE, CANARY, LINEAR = "all-at-once", "canary", "linear"
# SageMaker's own bounds for a step, in percent of the new fleet.
STEPS = {CANARY: (1, 50), LINEAR: (10, 50)}
SIZES = {CANARY: "CanarySize", LINEAR: "LinearStepSize"}
MOST_SECONDS = 3600
MOST_ALARMS = 10


@dataclass(frozen=True)
class Rollout:
    """An update's traffic shifting and what rolls it back.

    Attributes:
        traffic: ``all-at-once``, ``canary`` (a step, then the rest) or ``linear`` (equal steps).
        step: percent of the new fleet's capacity.
        bake: seconds that the alarms are watched after each step.
        termination: seconds until the old instances go after the last.
        limit: seconds that all of it may take.
        alarms: existing CloudWatch alarms that roll back.
        errors: makes an alarm: so many 5xx answers within a minute.
        latency: makes an alarm: milliseconds that the 95th percentile may take.
    """

    traffic: str = ALL_AT_ONCE
    step: int = 10
    bake: int = 300
    termination: int = 0
    limit: int = 3600
    alarms: tuple[str, ...] = ()
    errors: int | None = None
    latency: float | None = None

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse after the upload."""
        low, high = STEPS.get(self.traffic, (0, 100))
        if not low <= self.step <= high:
            raise MarqueeError(
                f"--step is {self.step}; expected {low} to {high} percent for {self.traffic}"
            )
        for name, seconds in (("--bake", self.bake), ("--termination-wait", self.termination)):
            if not 0 <= seconds <= MOST_SECONDS:
                raise MarqueeError(f"{name} is {seconds}; expected 0 to {MOST_SECONDS} seconds")
        least = max(600, self.shifting_seconds)
        if not least <= self.limit <= 28800:
            raise MarqueeError(
                f"--limit is {self.limit}; expected {least} (the steps and their waits take that "
                "long) to 28800 seconds"
            )
        count = len({*self.alarms}) + (self.errors is not None) + (self.latency is not None)
        if count > MOST_ALARMS:
            raise MarqueeError(
                f"{count} alarms were asked for; SageMaker watches {MOST_ALARMS} at most"
            )

    @property
    def shifting_seconds(self) -> int:
        """What the waits alone add up to."""
        steps = {ALL_AT_ONCE: 1, CANARY: 2}.get(self.traffic) or -(-100 // self.step)
        return steps * self.bake + self.termination

    def check_fleet(self, instances: int) -> None:
        """Refuse steps that one instance cannot take: a step is at most half of the fleet."""
        if self.traffic != ALL_AT_ONCE and instances < 2:
            raise MarqueeError(
                f"{self.traffic} shifts at most half of the fleet at first, so it needs at least "
                f"2 instances and there would be {instances}; say --count 2, or --traffic "
                f"{ALL_AT_ONCE}"
            )

    def alarm_calls(self, endpoint: str) -> list[Call]:
        """Return the calls that make the asked-for alarms."""
        errors, latency = self.errors, self.latency
        return [
            *([] if errors is None else [alarms.errors_alarm(endpoint, errors)]),
            *([] if latency is None else [alarms.latency_alarm(endpoint, latency)]),
        ]

    def request(self, endpoint: str) -> dict[str, Any]:
        """Return SageMaker's ``DeploymentConfig``."""
        made = [call.parameters["AlarmName"] for call in self.alarm_calls(endpoint)]
        kind = self.traffic.upper().replace("-", "_")
        routing: dict[str, Any] = {"Type": kind, "WaitIntervalInSeconds": self.bake}
        if self.traffic in SIZES:
            routing[SIZES[self.traffic]] = {"Type": "CAPACITY_PERCENT", "Value": self.step}
        policy = {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": self.termination,
            "MaximumExecutionTimeoutInSeconds": self.limit,
        }
        watched = [{"AlarmName": name} for name in (*self.alarms, *made)]
        rollback = {"AutoRollbackConfiguration": {"Alarms": watched}} if watched else {}
        return {"BlueGreenUpdatePolicy": policy} | rollback
