"""Blue/green updates: what SageMaker is asked for, and what is made of its answers."""

from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from marquee.errors import MarqueeError
from marquee.sagemaker import alarms
from marquee.sagemaker import scaling as auto_scaling
from marquee.sagemaker.account import Account
from marquee.sagemaker.capacity import Serverless
from marquee.sagemaker.hosting import Hosting
from marquee.sagemaker.rollout import Rollout
from marquee.sagemaker.scaling import Scaling
from marquee.sagemaker.update import dry_run, update
from tests.marquee.sagemaker.support import (
    BUCKET,
    HOSTING,
    QUEUE,
    REGION,
    RecordedAccount,
    hosting,
    model_name,
    operations,
    variant,
)
from tests.marquee.sagemaker.test_deploy import described, listed

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:thing/of-sagemaker"
NEW = hosting(image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/marquee:0.2.0")


def before(control: Stubber, instances: int = 1, old: Hosting = HOSTING) -> None:
    """Answer what an update reads first: ``old`` is in service."""
    control.add_response("list_endpoints", listed("InService"), {"NameContains": "painter"})
    fleet = [{"VariantName": name, "DesiredInstanceCount": instances} for name in old.variant_names]
    found = described("InService", EndpointConfigName=old.config_name)
    control.add_response(
        "describe_endpoint", found | {"ProductionVariants": fleet}, {"EndpointName": "painter"}
    )
    more = {"EndpointConfigArn": ARN, "CreationTime": 0}
    asked = {"EndpointConfigName": old.config_name}
    control.add_response("describe_endpoint_config", old.config_request() | more, asked)


def created(control: Stubber, new: Hosting) -> None:
    """Answer the creation of the new parts."""
    control.add_response("list_models", {"Models": []}, {"NameContains": "painter-"})
    control.add_response("list_endpoint_configs", {"EndpointConfigs": []})
    for request in new.model_requests().values():
        control.add_response("create_model", {"ModelArn": ARN}, request)
    control.add_response("create_endpoint_config", {"EndpointConfigArn": ARN}, new.config_request())


def updated(control: Stubber, new: Hosting, deployment: Any = ANY, retain: bool = False) -> None:
    """Answer the update, and that it takes a while."""
    asked: dict[str, Any] = {
        "EndpointName": "painter",
        "EndpointConfigName": new.config_name,
        "RetainAllVariantProperties": retain,
    }
    if deployment is not None:
        asked["DeploymentConfig"] = deployment
    if retain:
        asked["ExcludeRetainedVariantProperties"] = [{"VariantPropertyType": "DesiredWeight"}]
    control.add_response("update_endpoint", {"EndpointArn": ARN}, asked)
    stage = {"VariantName": "AllTraffic", "VariantStatus": [{"Status": "Baking"}]}
    pending = {"EndpointConfigName": new.config_name, "ProductionVariants": [stage]}
    during = described("Updating") | {"PendingDeploymentSummary": pending}
    control.add_response("describe_endpoint", during)


def arrived(
    control: Stubber, new: Hosting, *, old: Hosting = HOSTING, removes_model: bool = True
) -> None:
    """Answer that the new configuration serves, and the removal of the old one."""
    control.add_response(
        "describe_endpoint", described("InService", EndpointConfigName=new.config_name)
    )
    control.add_response("delete_endpoint_config", {}, {"EndpointConfigName": old.config_name})
    for name in old.model_requests() if removes_model else ():
        control.add_response("delete_model", {}, {"ModelName": name})


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
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 300, "CanarySize": size}
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
    plan = Rollout("canary", 25, 300, 60, 1800, alarms=("theirs",), errors=0.03, latency=250)
    assert update(account, new, plan)
    assert account.operations == operations(dry_run(new, plan, None, keep=False))
    assert steps[-4:-2] == ["Updating Endpoint painter", "Updating: Baking"]
    found = cloudwatch.describe_alarms(AlarmNamePrefix="painter-marquee-")["MetricAlarms"]
    errors, latency = found
    assert errors["Threshold"] == 3
    percent, requests, failed = errors["Metrics"]
    assert percent["Expression"].startswith("IF(FILL(requests, 0) >= 10, 100 * FILL(errors, 0)")
    counted = [one["MetricStat"]["Metric"] for one in (requests, failed)]
    assert [one["MetricName"] for one in counted] == ["Invocations", "Invocation5XXErrors"]
    # Milliseconds were asked for; the metric has microseconds.
    assert (latency["ExtendedStatistic"], latency["Threshold"]) == ("p95", 250_000)
    # A canary's errors would drown in the old instances' answers.
    new_fleet = [
        {"Name": "EndpointName", "Value": "painter"},
        {"Name": "VariantName", "Value": "AllTraffic"},
        {"Name": "EndpointConfigName", "Value": new.config_name},
    ]
    assert [one["Dimensions"] for one in (*counted, latency)] == [new_fleet] * 3


def test_linear_steps_without_alarms() -> None:
    assert Rollout("linear", 20, 60, errors=None, latency=None).request(HOSTING) == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "LINEAR",
                "WaitIntervalInSeconds": 60,
                "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 20},
            },
            "TerminationWaitInSeconds": 0,
            "MaximumExecutionTimeoutInSeconds": 7200,
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
    Scaling(1, 6, 70).apply(account, "painter", ["AllTraffic"])
    new = hosting(count=3)  # the same model: it must stay
    before(control, instances=5)
    created_config_only(control, new)
    updated(control, new, retain=True)
    arrived(control, new, removes_model=False)
    assert update(account, new, Rollout())
    assert auto_scaling.registered(account, "painter")


def created_config_only(control: Stubber, new: Hosting) -> None:
    control.add_response("list_models", {"Models": [model(model_name(new))]})
    control.add_response("list_endpoint_configs", {"EndpointConfigs": []})
    control.add_response("create_endpoint_config", {"EndpointConfigArn": ARN}, new.config_request())


def test_another_instance_type_needs_the_scaling_said_again(
    account: Account, control: Stubber
) -> None:
    Scaling(1, 6, 70).apply(account, "painter", ["AllTraffic"])
    before(control)
    with pytest.raises(MarqueeError, match="say --scaling MIN MAX TARGET for afterwards"):
        update(account, hosting(instance_type="ml.g5.xlarge"), Rollout())


def test_another_instance_type_ends_the_scaling_and_begins_it_anew(
    account: Account, control: Stubber
) -> None:
    Scaling(1, 6, 70).apply(account, "painter", ["AllTraffic"])
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
    Scaling(1, 6, 70).apply(account, "painter", ["AllTraffic"])
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
    before(control, old=hosting(variants=(variant("blue"), variant("green"))))
    with pytest.raises(
        MarqueeError, match="has the production variants blue, green, and this update AllTraffic"
    ):
        update(account, NEW, Rollout())
    before(control)
    with pytest.raises(MarqueeError, match="needs at least 2 instances and there would be 1"):
        update(account, NEW, Rollout("canary"))


def test_an_alarm_that_is_not_there(account: Account, control: Stubber) -> None:
    before(control)
    with pytest.raises(MarqueeError, match="there is no alarm absent in this region"):
        update(account, NEW, Rollout(alarms=("absent",)))


def both(**changes: Any) -> Hosting:
    """An endpoint with two variants; what changes is the new one's."""
    data = f"s3://{BUCKET}/marquee/painter/1/model.tar.gz"
    new = variant("new", **{"model_data": data, "weight": 0.1} | changes)
    return hosting(variants=(variant("old"), new))


def test_several_variants_keep_their_instances_and_get_their_weights(
    account: RecordedAccount, control: Stubber
) -> None:
    Scaling(1, 6, 70).apply(account, "painter", ["old", "new"])
    account.operations.clear()
    before(control, old=both())
    new = both(weight=1.0, model_data=f"s3://{BUCKET}/marquee/painter/2/model.tar.gz")
    control.add_response("list_models", {"Models": [model(next(iter(new.model_requests())))]})
    control.add_response("list_endpoint_configs", {"EndpointConfigs": []})
    control.add_response("create_model", {"ModelArn": ARN}, [*new.model_requests().values()][1])
    control.add_response("create_endpoint_config", {"EndpointConfigArn": ARN}, new.config_request())
    updated(control, new, retain=True)
    control.add_response(
        "describe_endpoint", described("InService", EndpointConfigName=new.config_name)
    )
    control.add_response("delete_endpoint_config", {}, {"EndpointConfigName": both().config_name})
    # The old variant's model serves on.
    control.add_response("delete_model", {}, {"ModelName": [*both().model_requests()][1]})
    assert update(account, new, Rollout())
    cloudwatch = boto3.client("cloudwatch", region_name=REGION)
    found = cloudwatch.describe_alarms(AlarmNamePrefix="painter-marquee-")["MetricAlarms"]
    assert sorted(alarm["AlarmName"] for alarm in found) == [
        f"painter-marquee-{kind}-{name}"
        for kind in ("errors", "latency")
        for name in ("new", "old")
    ]
    assert sorted(auto_scaling.registered(account, "painter")) == ["new", "old"]


def model(name: str) -> dict[str, Any]:
    return {"ModelName": name, "ModelArn": ARN, "CreationTime": 0}


def test_the_smallest_variant_must_be_able_to_take_a_step() -> None:
    with pytest.raises(MarqueeError, match="needs at least 2 instances and there would be 1"):
        dry_run(both(count=4), Rollout("canary"), None, keep=False)


SERVERLESS = hosting(capacity=Serverless(2048, 10))


def test_a_serverless_endpoint_is_updated_without_alarms(
    account: Account, control: Stubber
) -> None:
    before(control, old=SERVERLESS)
    new = hosting(capacity=Serverless(4096, 10))
    created_config_only(control, new)
    updated(control, new, deployment=None)
    arrived(control, new, old=SERVERLESS, removes_model=False)
    assert update(account, new, Rollout())
    assert not boto3.client("cloudwatch", region_name=REGION).describe_alarms()["MetricAlarms"]


def test_what_cannot_become_serverless(account: Account, control: Stubber) -> None:
    before(control)
    with pytest.raises(MarqueeError, match="runs on instances, and SageMaker makes no such"):
        update(account, SERVERLESS, Rollout())
    before(control, old=SERVERLESS)
    with pytest.raises(MarqueeError, match="--traffic and --alarm are for instances"):
        update(account, HOSTING, Rollout(alarms=("theirs",)))


def test_an_update_is_watched_without_being_told() -> None:
    request = Rollout().request(HOSTING)
    routing = request["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing == {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 600}
    watched = request["AutoRollbackConfiguration"]["Alarms"]
    names = ["painter-marquee-errors", "painter-marquee-latency"]
    assert [alarm["AlarmName"] for alarm in watched] == names


def test_a_queue_is_watched_by_its_own_metrics() -> None:
    errors, latency = Rollout().alarm_calls(hosting(asynchronous=QUEUE))
    counted = errors.parameters["Metrics"][1]["MetricStat"]["Metric"]
    assert counted["MetricName"] == "InvocationsProcessed"
    assert [one["Name"] for one in counted["Dimensions"]] == ["EndpointName", "VariantName"]
    assert latency.parameters["Statistic"] == "Average"


def test_a_composite_alarm_is_found(account: Account) -> None:
    with Stubber(account._client("cloudwatch")) as cloudwatch:
        asked = {"AlarmNames": ["all"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
        found = {"CompositeAlarms": [{"AlarmName": "all"}]}
        cloudwatch.add_response("describe_alarms", found, asked)
        alarms.check_exist(account, ["all"])


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"traffic": "canary", "step": 51}, "--step is 51; expected 1 to 50 percent for canary"),
        ({"traffic": "linear", "step": 5}, "--step is 5; expected 10 to 50 percent for linear"),
        ({"bake": 3601}, "--bake is 3601"),
        ({"termination": -1}, "--termination-wait is -1"),
        ({"limit": 60}, "--limit is 60; expected 600"),
        ({"traffic": "linear", "bake": 900}, "--limit is 7200; expected 9000"),
        ({"bake": 120}, "--bake is 120; expected at least 300"),
    ],
)
def test_rollouts_that_aws_would_refuse(plan: dict[str, Any], words: str) -> None:
    with pytest.raises(MarqueeError, match=words):
        Rollout(**plan)


def test_too_many_alarms() -> None:
    names = tuple(f"a{number}" for number in range(9))
    with pytest.raises(MarqueeError, match="11 alarms were asked for; SageMaker watches 10"):
        dry_run(NEW, Rollout(alarms=names), None, keep=False)
