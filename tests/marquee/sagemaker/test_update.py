"""Blue/green updates: what SageMaker is asked for, and what is made of its answers."""

from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from marquee.errors import MarqueeError
from marquee.sagemaker import scaling as auto_scaling
from marquee.sagemaker.account import Account
from marquee.sagemaker.hosting import Hosting
from marquee.sagemaker.rollout import Rollout
from marquee.sagemaker.scaling import Scaling
from marquee.sagemaker.update import dry_run, update
from tests.marquee.sagemaker.support import HOSTING, REGION, RecordedAccount, hosting, operations
from tests.marquee.sagemaker.test_deploy import described, listed

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:thing/of-sagemaker"
NEW = hosting(image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/marquee:0.2.0")


def before(
    control: Stubber, instances: int = 1, variants: tuple[str, ...] = ("AllTraffic",)
) -> None:
    """Answer what an update reads first: HOSTING is in service."""
    control.add_response("list_endpoints", listed("InService"), {"NameContains": "painter"})
    fleet = {"VariantName": "AllTraffic", "DesiredInstanceCount": instances}
    found = described("InService") | {"ProductionVariants": [fleet]}
    control.add_response("describe_endpoint", found, {"EndpointName": "painter"})
    if instances == 0:
        return
    config = HOSTING.config_request()
    config["ProductionVariants"] = [
        config["ProductionVariants"][0] | {"VariantName": name} for name in variants
    ]
    more = {"EndpointConfigArn": ARN, "CreationTime": 0}
    asked = {"EndpointConfigName": HOSTING.config_name}
    control.add_response("describe_endpoint_config", config | more, asked)


def created(control: Stubber, new: Hosting) -> None:
    """Answer the creation of the new parts."""
    control.add_response("list_models", {"Models": []}, {"NameContains": "painter-"})
    control.add_response("list_endpoint_configs", {"EndpointConfigs": []})
    control.add_response("create_model", {"ModelArn": ARN}, new.model_request())
    control.add_response("create_endpoint_config", {"EndpointConfigArn": ARN}, new.config_request())


def updated(control: Stubber, new: Hosting, deployment: Any = ANY, retain: bool = False) -> None:
    """Answer the update, and that it takes a while."""
    asked = {
        "EndpointName": "painter",
        "EndpointConfigName": new.config_name,
        "DeploymentConfig": deployment,
        "RetainAllVariantProperties": retain,
    }
    control.add_response("update_endpoint", {"EndpointArn": ARN}, asked)
    stage = {"VariantName": "AllTraffic", "VariantStatus": [{"Status": "Baking"}]}
    pending = {"EndpointConfigName": new.config_name, "ProductionVariants": [stage]}
    during = described("Updating") | {"PendingDeploymentSummary": pending}
    control.add_response("describe_endpoint", during)


def arrived(control: Stubber, new: Hosting, *, removes_model: bool = True) -> None:
    """Answer that the new configuration serves, and the removal of the old one."""
    control.add_response(
        "describe_endpoint", described("InService", EndpointConfigName=new.config_name)
    )
    old = {"EndpointConfigName": HOSTING.config_name}
    control.add_response("delete_endpoint_config", {}, old)
    if removes_model:
        control.add_response("delete_model", {}, {"ModelName": HOSTING.model_name})


def test_a_canary_with_alarms_and_then_the_old_parts_go(
    account: RecordedAccount, control: Stubber
) -> None:
    cloudwatch = boto3.client("cloudwatch", region_name=REGION)
    cloudwatch.put_metric_alarm(
        AlarmName="theirs", EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold"
    )
    new = hosting(image=NEW.image, count=2)
    before(control)
    created(control, new)
    watched = ("theirs", "painter-marquee-errors", "painter-marquee-latency")
    size = {"Type": "CAPACITY_PERCENT", "Value": 25}
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 120, "CanarySize": size}
    deployment = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": 60,
            "MaximumExecutionTimeoutInSeconds": 1800,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in watched]},
    }
    updated(control, new, deployment)
    arrived(control, new)
    steps: list[str] = []
    account.report = steps.append
    plan = Rollout("canary", 25, 120, 60, 1800, alarms=("theirs",), errors=3, latency=250)
    assert update(account, new, plan)
    assert account.operations == operations(dry_run(new, plan, None, keep=False))
    assert steps[-4:-2] == ["Updating Endpoint painter", "Updating: Baking"]
    found = cloudwatch.describe_alarms(AlarmNamePrefix="painter-marquee-")["MetricAlarms"]
    errors, latency = found
    assert (errors["MetricName"], errors["Threshold"]) == ("Invocation5XXErrors", 3)
    # Milliseconds were asked for; the metric has microseconds.
    assert (latency["ExtendedStatistic"], latency["Threshold"]) == ("p95", 250_000)
    both = [{"Name": "EndpointName", "Value": "painter"}]
    both += [{"Name": "VariantName", "Value": "AllTraffic"}]
    assert errors["Dimensions"] == latency["Dimensions"] == both


def test_linear_steps_without_alarms() -> None:
    assert Rollout("linear", 20, 60).request("painter") == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "LINEAR",
                "WaitIntervalInSeconds": 60,
                "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 20},
            },
            "TerminationWaitInSeconds": 0,
            "MaximumExecutionTimeoutInSeconds": 3600,
        }
    }


def test_a_rollback_is_an_error_that_says_what_serves(account: Account, control: Stubber) -> None:
    before(control)
    created(control, NEW)
    updated(control, NEW)
    back = described("InService", FailureReason="Alarm painter-marquee-errors is in ALARM.")
    control.add_response("describe_endpoint", described("RollingBack"))
    control.add_response("describe_endpoint", back)
    words = f"rolled back: Alarm .* in ALARM; the configuration {HOSTING.config_name} serves on"
    with pytest.raises(MarqueeError, match=words):
        update(account, NEW, Rollout())


def test_the_same_configuration_changes_nothing(account: Account, control: Stubber) -> None:
    before(control)
    assert not update(account, HOSTING, Rollout())


def test_what_has_scaled_stays_scaled(account: Account, control: Stubber) -> None:
    Scaling(1, 6, 70).apply(account, "painter")
    new = hosting(count=3)  # the same model: it must stay
    before(control, instances=5)
    created_config_only(control, new)
    updated(control, new, retain=True)
    arrived(control, new, removes_model=False)
    assert update(account, new, Rollout())
    assert auto_scaling.registered(account, "painter")


def created_config_only(control: Stubber, new: Hosting) -> None:
    model = {"ModelName": new.model_name, "ModelArn": ARN, "CreationTime": 0}
    control.add_response("list_models", {"Models": [model]})
    control.add_response("list_endpoint_configs", {"EndpointConfigs": []})
    control.add_response("create_endpoint_config", {"EndpointConfigArn": ARN}, new.config_request())


def test_another_instance_type_needs_the_scaling_said_again(
    account: Account, control: Stubber
) -> None:
    Scaling(1, 6, 70).apply(account, "painter")
    before(control)
    with pytest.raises(MarqueeError, match="say --scaling MIN MAX TARGET for afterwards"):
        update(account, hosting(instance_type="ml.g5.xlarge"), Rollout())


def test_another_instance_type_ends_the_scaling_and_begins_it_anew(
    account: Account, control: Stubber
) -> None:
    Scaling(1, 6, 70).apply(account, "painter")
    new = hosting(instance_type="ml.g5.xlarge")
    before(control)
    created_config_only(control, new)
    updated(control, new, retain=True)
    arrived(control, new, removes_model=False)
    ended: list[str] = []
    account._client("application-autoscaling").meta.events.register(
        "before-call.application-autoscaling.DeregisterScalableTarget",
        lambda **_: ended.append("scaling"),
    )
    assert update(account, new, Rollout(), scaling=Scaling(2, 3, 30))
    assert ended == ["scaling"]
    (target,) = boto3.client(
        "application-autoscaling", region_name=REGION
    ).describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 3)


def test_a_refused_move_does_not_lose_the_scaling(account: Account, control: Stubber) -> None:
    Scaling(1, 6, 70).apply(account, "painter")
    new = hosting(instance_type="ml.p5.48xlarge")
    before(control)
    created_config_only(control, new)
    control.add_client_error("update_endpoint", "ResourceLimitExceeded", "The limit is 0.")
    with pytest.raises(MarqueeError, match="UpdateEndpoint was refused .* Service Quotas"):
        update(account, new, Rollout(), scaling=Scaling(1, 6, 70))
    assert auto_scaling.registered(account, "painter")


def test_endpoints_that_cannot_be_updated(account: Account, control: Stubber) -> None:
    control.add_response("list_endpoints", {"Endpoints": []})
    with pytest.raises(MarqueeError, match="there is no endpoint painter in this region"):
        update(account, NEW, Rollout())
    control.add_response("list_endpoints", listed("Failed"))
    control.add_response("describe_endpoint", described("Failed"))
    with pytest.raises(MarqueeError, match="is Failed; an update needs it InService"):
        update(account, NEW, Rollout())
    before(control, variants=("blue", "green"))
    with pytest.raises(MarqueeError, match="has the production variants blue, green"):
        update(account, NEW, Rollout())
    before(control)
    with pytest.raises(MarqueeError, match="needs at least 2 instances and there would be 1"):
        update(account, NEW, Rollout("canary"))


def test_an_alarm_that_is_not_there(account: Account, control: Stubber) -> None:
    before(control)
    with pytest.raises(MarqueeError, match="there is no alarm absent in this region"):
        update(account, NEW, Rollout(alarms=("absent",)))


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"traffic": "canary", "step": 51}, "--step is 51; expected 1 to 50 percent for canary"),
        ({"traffic": "linear", "step": 5}, "--step is 5; expected 10 to 50 percent for linear"),
        ({"bake": 3601}, "--bake is 3601"),
        ({"termination": -1}, "--termination-wait is -1"),
        ({"limit": 60}, "--limit is 60; expected 600"),
        ({"traffic": "linear", "bake": 600}, "--limit is 3600; expected 6000"),
    ],
)
def test_rollouts_that_aws_would_refuse(plan: dict[str, Any], words: str) -> None:
    with pytest.raises(MarqueeError, match=words):
        Rollout(**plan)


def test_too_many_alarms() -> None:
    names = tuple(f"a{number}" for number in range(10))
    with pytest.raises(MarqueeError, match="11 alarms were asked for; SageMaker watches 10"):
        Rollout(alarms=names, errors=1)
