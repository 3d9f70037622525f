"""The template and the functions agree, and validation finds what it is for."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import shared
from deploy.aws import filled, validate
from tests.deploy.resolve import rights
from tests.deploy.stage import ALL_VARIABLES, Stage
from tests.support import BIN, ROOT

FUNCTIONS = ROOT / "deploy" / "aws" / "functions"
OURS = {"shared", "timetravel", "tracing"}
ALLOWED = {"boto3", "botocore", "numpy", "PIL", *OURS, *sys.stdlib_module_names}


def sources() -> list[Path]:
    return sorted(FUNCTIONS.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_functions_import_neither_marquee_nor_handlers(path: Path) -> None:
    assert {name.partition(".")[0] for name in imports(path)} <= ALLOWED


def test_one_pipeline_imports_no_other() -> None:
    for path in sources():
        if path.parent.name != "timetravel":
            assert "timetravel" not in set(imports(path))


def test_every_handler_is_there(template: validate.Template) -> None:
    for name, properties in validate.of_kind(template, validate.SAM_FUNCTION):
        module, _, function = properties["Handler"].rpartition(".")
        assert callable(getattr(importlib.import_module(module), function)), name


def test_every_variable_of_the_template_is_read() -> None:
    text = "".join(path.read_text() for path in sources())
    assert set(re.findall(r'setting\("(\w+)"', text)) == ALL_VARIABLES


def test_the_lambda_package_is_what_the_functions_import() -> None:
    listed = (FUNCTIONS / "requirements.txt").read_text().split()
    assert {re.split("[<>=]", line)[0] for line in listed} == {"numpy", "pillow"}


def routes(template: validate.Template) -> set[str]:
    return {
        f"{event['Properties']['Method'].upper()} {event['Properties']['Path']}"
        for _, properties in validate.of_kind(template, validate.SAM_FUNCTION)
        for event in properties["Events"].values()
        if event["Type"] == "Api"
    }


def test_the_docs_tell_of_every_route_and_of_no_other(template: validate.Template) -> None:
    text = (ROOT / "docs" / "cloud.md").read_text()
    told = set(re.findall(r"^### `((?:GET|POST) /\S+)`", text, flags=re.MULTILINE))
    assert told == routes(template)


def test_the_container_is_the_one_that_the_script_pushes(template: validate.Template) -> None:
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    assert template["Parameters"]["ImageTag"]["Default"] == version[1]


def test_a_functions_waiting_ends_before_the_gateways(template: validate.Template) -> None:
    default = template["Globals"]["Function"]["Timeout"]
    for name, properties in validate.of_kind(template, validate.SAM_FUNCTION):
        variables = properties["Environment"]["Variables"]
        if "ENDPOINT_SECONDS" in variables:
            limit = properties.get("Timeout", default)
            assert int(variables["ENDPOINT_SECONDS"]) < limit, name


def test_no_function_may_use_what_is_anothers(template: validate.Template) -> None:
    granted = set(rights(template, "TimetravelSettle"))
    assert not any("sagemaker" in action or "input/" in place for action, place in granted)


def test_the_stage_refuses_what_the_template_does_not_allow(
    stage: Stage, template: validate.Template
) -> None:
    stage.template = json.loads(json.dumps(template))
    policies = stage.template["Resources"]["TimetravelSettle"]["Properties"]["Policies"]
    policies[0]["Statement"] = policies[0]["Statement"][1:]
    notice = {"inferenceId": "x.y", "invocationStatus": "Completed"}
    with pytest.raises(AssertionError, match="has no right to GetItem"):
        stage.run("TimetravelSettle", {"Records": [{"Sns": {"Message": json.dumps(notice)}}]})


# ---------------------------------------------------------------- validation


def test_our_template_is_sound() -> None:
    done = subprocess.run(
        [BIN / "python", "-m", "deploy.aws.validate"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


Change = Callable[[dict[str, Any]], Any]
FAULTS: list[tuple[str, Change]] = [
    ("Cifar.* allows 's3:\\*'", lambda all_: statement(all_, "Cifar").update(Action="s3:*")),
    ("on every resource", lambda all_: statement(all_, "Cifar").update(Resource="*")),
    (
        "to everybody",
        lambda all_: all_["EndpointRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][
            0
        ].update(Principal="*"),
    ),
    (
        "may be made public",
        lambda all_: drop(all_, "SmokeBucket", "PublicAccessBlockConfiguration"),
    ),
    ("is not encrypted; add", lambda all_: drop(all_, "SmokeBucket", "BucketEncryption")),
    ("objects for ever", lambda all_: drop(all_, "SmokeBucket", "LifecycleConfiguration")),
    ("without TLS", lambda all_: all_.pop("SmokeBucketPolicy")),
    ("logs for ever", lambda all_: drop(all_, "CifarLog", "RetentionInDays")),
    ("no log group", lambda all_: drop(all_, "Cifar", "LoggingConfig")),
    ("loses events", lambda all_: drop(all_, "Inkwash", "EventInvokeConfig")),
    ("waits for 29", lambda all_: all_["Cifar"]["Properties"].update(Timeout=60)),
    ("SqsManagedSseEnabled", lambda all_: drop(all_, "DeadLetters", "SqsManagedSseEnabled")),
    ("items for ever", lambda all_: drop(all_, "Jobs", "TimeToLiveSpecification")),
    ("without a key", lambda all_: drop(all_, "Gateway", "Auth")),
    ("is not throttled", lambda all_: drop(all_, "Gateway", "MethodSettings")),
    ("bad container", lambda all_: drop(all_, "SmokeEndpoint", "DeploymentConfig")),
]


def statement(resources: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[name]["Properties"]["Policies"][0]["Statement"][0]
    return found


def drop(resources: dict[str, Any], name: str, field: str) -> None:
    del resources[name]["Properties"][field]


@pytest.mark.parametrize(("words", "change"), FAULTS, ids=[words for words, _ in FAULTS])
def test_a_fault_is_found(template: validate.Template, words: str, change: Change) -> None:
    faulty = json.loads(json.dumps(template))
    change(faulty["Resources"])
    if "GatewayApiKey" in json.dumps(faulty["Outputs"]) and words == "without a key":
        del faulty["Outputs"]["ApiKeyId"]
    found = validate.problems(faulty)
    assert found
    assert all(re.search(words, sentence) for sentence in found), found


# ---------------------------------------------------------------- what an account would refuse


ALARMS = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:marquee-*"


def filled_in(template: validate.Template, **more: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """The resources, by name, as CloudFormation would make them; all models are deployed."""
    made = filled.resources(validate.expanded(template), filled.PLAIN | more)
    return {name: (kind, properties) for name, kind, properties in made}


def test_gpus_come_with_a_driver_that_the_container_can_use(template: validate.Template) -> None:
    made = filled_in(template, CifarInstanceType="ml.p5.48xlarge", SmokeInstanceType="ml.c7i.large")
    hosts = {
        name.removesuffix("EndpointConfig"): properties["ProductionVariants"][0].get(
            "InferenceAmiVersion"
        )
        for name, (kind, properties) in made.items()
        if kind == "AWS::SageMaker::EndpointConfig"
    }
    gpu = "al2023-ami-sagemaker-inference-gpu-4-1"
    expected = {"CifarVgg11": gpu, "CifarLenet": gpu, "Timetravel": gpu}
    assert hosts == {"Inkwash": None, "Rotifer": None, "Smoke": None, **expected}


@pytest.mark.parametrize("refused", ["ml.p2.xlarge", "ml.p3.2xlarge", "ml.p3dn.24xlarge"])
@pytest.mark.parametrize("model", ["Cifar", "Inkwash", "Rotifer", "Smoke", "Timetravel"])
def test_cards_without_kernels_are_refused(
    template: validate.Template, model: str, refused: str
) -> None:
    pattern = template["Parameters"][f"{model}InstanceType"]["AllowedPattern"]
    assert not re.fullmatch(pattern, refused)
    assert not re.fullmatch(pattern, "ml.inf2.xlarge")
    for taken in ("ml.g4dn.xlarge", "ml.p5.48xlarge", "ml.p6-b200.48xlarge", "ml.m5.large"):
        assert re.fullmatch(pattern, taken), taken


def test_an_update_is_watched_and_its_role_may_look(template: validate.Template) -> None:
    made = filled_in(template)
    endpoints = [one for kind, one in made.values() if kind == "AWS::SageMaker::Endpoint"]
    assert len(endpoints) == 6
    for endpoint in endpoints:
        config = endpoint["DeploymentConfig"]
        routing = config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
        assert routing["WaitIntervalInSeconds"] == 600
        alarms = [one["AlarmName"] for one in config["AutoRollbackConfiguration"]["Alarms"]]
        assert [name.rpartition("-")[2].endswith(("Errors", "Latency")) for name in alarms] == [
            True,
            True,
        ]
    for role in ("EndpointRole", "TimetravelEndpointRole"):
        one = {"Resources": {role: {"Properties": made[role][1]}}}
        assert ("cloudwatch:DescribeAlarms", ALARMS) in [
            (statement["Action"], statement.get("Resource"))
            for _, statement in validate.statements(one)
        ]


def test_rates_roll_back_and_single_errors_do_not(template: validate.Template) -> None:
    for name, (kind, alarm) in filled_in(template).items():
        if kind == "AWS::CloudWatch::Alarm" and name.endswith("Errors"):
            percent, requests, errors = alarm["Metrics"]
            assert percent["Expression"].startswith("IF(FILL(requests, 0) >= 10, 100 * ")
            counted = requests["MetricStat"]["Metric"]["MetricName"]
            # An asynchronous endpoint does not publish Invocations.
            is_queue = name.startswith("Timetravel")
            assert counted == ("InvocationsProcessed" if is_queue else "Invocations")
            assert errors["MetricStat"]["Metric"]["MetricName"] == "Invocation5XXErrors"
            assert requests["MetricStat"]["Period"] == errors["MetricStat"]["Period"] <= 600


def test_a_key_is_used_wherever_there_is_one_to_use(template: validate.Template) -> None:
    made = filled_in(template, Key=filled.KEY, ModelKey=filled.KEY)
    kinds = {kind for kind, one in made.values() if filled.KEY in json.dumps(one)}
    users_of_it = {"AWS::IAM::Policy", "AWS::IAM::Role"}
    assert kinds == {"AWS::S3::Bucket", "AWS::SageMaker::EndpointConfig"} | users_of_it
    for role in ("EndpointRole", "TimetravelEndpointRole"):
        assert json.dumps(made[role][1]).count(filled.KEY) == 2
    for name, (kind, one) in made.items():
        if kind == "AWS::S3::Bucket":
            assert filled.KEY in json.dumps(one), name
    assert made["SmokeEndpointConfig"][1]["KmsKeyId"] == filled.KEY
    queue = made["TimetravelEndpointConfig"][1]
    assert queue["AsyncInferenceConfig"]["OutputConfig"]["KmsKeyId"] == filled.KEY
    assert "KmsKeyId" not in queue  # a GPU instance's disk has its hardware's
    without = filled_in(template)
    assert "aws:kms" not in json.dumps(without)
    assert "KeyPolicy" not in without
    users = set(made["KeyPolicy"][1]["Roles"])
    s3 = {
        f"{filled.STACK}-{name}Role"
        for name, properties in validate.of_kind(template, validate.SAM_FUNCTION)
        if "s3:" in json.dumps(properties["Policies"])
    }
    assert s3 == users


def test_containers_go_into_a_vpc(template: validate.Template) -> None:
    made = filled_in(template, Subnets="subnet-0a,subnet-0b", SecurityGroups="sg-0a")
    expected = {"Subnets": ["subnet-0a", "subnet-0b"], "SecurityGroupIds": ["sg-0a"]}
    models = [one for kind, one in made.values() if kind == "AWS::SageMaker::Model"]
    assert [one["VpcConfig"] for one in models] == [expected] * 6
    assert not any("VpcConfig" in one for _, one in filled_in(template).values())


def policy_of(resources: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[name]["Properties"]["DeploymentConfig"][
        "BlueGreenUpdatePolicy"
    ]
    return found


def variant(resources: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = resources["SmokeEndpointConfig"]["Properties"]["ProductionVariants"][0]
    return found


REFUSED: list[tuple[str, Change]] = [
    (
        "lacks WaitIntervalInSeconds, which AWS requires",
        lambda all_: policy_of(all_, "SmokeEndpoint")["TrafficRoutingConfiguration"].pop(
            "WaitIntervalInSeconds"
        ),
    ),
    ("expected one of", lambda all_: variant(all_).update(InstanceType="ml.g99.large")),
    ("expected what matches", lambda all_: variant(all_).update(VariantName="-main")),
    ("which AWS does not know", lambda all_: variant(all_).update(Ami="gpu")),
    (
        "expected 600 to 28800",
        lambda all_: policy_of(all_, "SmokeEndpoint").update(MaximumExecutionTimeoutInSeconds=60),
    ),
    (
        "sagemaker:InvokeEndpoints, which AWS does not know",
        lambda all_: statement(all_, "Cifar").update(Action="sagemaker:InvokeEndpoints"),
    ),
    (
        "which is no resource of it",
        lambda all_: statement(all_, "SmokeUpload").update(Resource="arn:aws:s3:::a-bucket"),
    ),
    (
        "for s3:prefix, which it does not have",
        lambda all_: statement(all_, "Cifar").update(
            Condition={"StringEquals": {"s3:prefix": "input/"}}
        ),
    ),
]


@pytest.mark.parametrize(("words", "change"), REFUSED, ids=[words for words, _ in REFUSED])
def test_what_aws_would_refuse_is_found(
    template: validate.Template, words: str, change: Change
) -> None:
    faulty = json.loads(json.dumps(template))
    change(faulty["Resources"])
    found = validate.problems(faulty)
    assert found
    assert all(words in sentence for sentence in found), found


# ---------------------------------------------------------------- links


@pytest.mark.usefixtures("fresh_clients")
@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "a-bucket.s3.us-east-1.amazonaws.com"),
        ("eu-central-1", "a-bucket.s3.eu-central-1.amazonaws.com"),
        ("eu-south-1", "a-bucket.s3.eu-south-1.amazonaws.com"),
        ("cn-north-1", "a-bucket.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_links_are_signed_for_the_buckets_own_region(
    monkeypatch: pytest.MonkeyPatch, region: str, host: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    link = urlsplit(shared.link("a-bucket", "results/x.json"))
    assert (link.scheme, link.hostname, link.path) == ("https", host, "/results/x.json")
    assert f"%2F{region}%2Fs3%2Faws4_request" in link.query
    form = shared.upload_form("a-bucket", "input/x.jpg", "image/jpeg", 10)
    assert form["url"] == f"https://{host}/"


@pytest.mark.usefixtures("fresh_clients")
def test_links_keep_an_address_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    assert shared.link("a-bucket", "x").startswith("http://127.0.0.1:9000/a-bucket/x?")
