"""How an update reaches the traffic: blue/green, all at once or by steps, with alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker import alarms
from marquee.sagemaker.account import Call
from marquee.sagemaker.hosting import Hosting

ALL_AT_ONCE, CANARY, LINEAR = "all-at-once", "canary", "linear"
# SageMaker's own bounds for a step, in percent of the new fleet.
STEPS = {CANARY: (1, 50), LINEAR: (10, 50)}
SIZES = {CANARY: "CanarySize", LINEAR: "LinearStepSize"}
MOST_SECONDS = 3600
MOST_ALARMS = 10
# Of all answers, among at least so many requests; of a time that any client waits.
ERRORS, REQUESTS, MILLISECONDS = 0.1, 10, 15_000


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
        errors: makes an alarm for each variant: the share (0 to 1) of answers within five minutes
            that may be 5xx; None makes none.
        requests: so many must there have been for that alarm.
        latency: makes an alarm for each variant: milliseconds that the 95th percentile may take
            (a queue's mean); None makes none.
    """

    traffic: str = ALL_AT_ONCE
    step: int = 10
    bake: int = 600
    termination: int = 0
    limit: int = 7200
    alarms: tuple[str, ...] = ()
    errors: float | None = ERRORS
    requests: int = REQUESTS
    latency: float | None = MILLISECONDS

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
        if self.makes_alarms and self.bake < alarms.PERIOD:
            raise MarqueeError(
                f"--bake is {self.bake}; expected at least {alarms.PERIOD} seconds, which is what "
                "the update's own alarms look at; say --no-alarms for less"
            )
        least = max(600, self.shifting_seconds)
        if not least <= self.limit <= 28800:
            raise MarqueeError(
                f"--limit is {self.limit}; expected {least} (the steps and their waits take that "
                "long) to 28800 seconds"
            )

    @property
    def makes_alarms(self) -> bool:
        """Whether the update has alarms of its own."""
        return self.errors is not None or self.latency is not None

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

    def check_alarms(self, hosting: Hosting) -> None:
        """Refuse more alarms than SageMaker watches."""
        count = len({*self.alarms}) + len(self.alarm_calls(hosting))
        if count > MOST_ALARMS:
            raise MarqueeError(
                f"{count} alarms were asked for; SageMaker watches {MOST_ALARMS} at most: name "
                "fewer with --alarm, or say --no-alarms and watch by your own"
            )

    def alarm_calls(self, hosting: Hosting) -> list[Call]:
        """Return the calls that make the update's own alarms."""
        config_name, is_queue = hosting.config_name, hosting.asynchronous is not None
        calls = []
        for name in hosting.variant_names:
            fleet = alarms.Fleet(hosting.endpoint, name, config_name, is_queue)
            if self.errors is not None:
                calls.append(alarms.errors_alarm(fleet, self.errors, self.requests))
            if self.latency is not None:
                calls.append(alarms.latency_alarm(fleet, self.latency))
        return calls

    def request(self, hosting: Hosting) -> dict[str, Any]:
        """Return SageMaker's ``DeploymentConfig``."""
        made = [call.parameters["AlarmName"] for call in self.alarm_calls(hosting)]
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
