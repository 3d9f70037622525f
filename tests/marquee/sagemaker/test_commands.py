"""The commands as they are typed: dry runs without an account, answers, bad options."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from marquee.cli.main import main
from marquee.project import Project
from marquee.sagemaker import account as accounts
from marquee.sagemaker.account import Account, Answer, Call
from tests.marquee.sagemaker.support import BUCKET, IMAGE, REGION, ROLE, TOPIC

BASE = ["--role", ROLE, "--image", IMAGE]
DATA = ["--model-data", f"s3://{BUCKET}/model.tar.gz"]
QUEUE = ["--async", "--output", f"s3://{BUCKET}/out"]


def run(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["sagemaker", *words], input=typed)


def dry_run(*words: str) -> list[dict[str, Any]]:
    done = run(*words, "--dry-run")
    assert done.exit_code == 0, done.output
    calls: list[dict[str, Any]] = json.loads(done.stdout)
    return calls


def operations(calls: list[dict[str, Any]]) -> list[str]:
    return [call["operation"] for call in calls]


def parameters(calls: list[dict[str, Any]], operation: str) -> dict[str, Any]:
    (found,) = [call["parameters"] for call in calls if call["operation"] == operation]
    return dict(found)


def test_a_dry_deployment_packs_and_makes_no_call(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_project.root)
    words = ["deploy", "cifar", *BASE, "--bucket", BUCKET, "--env", "A=b=c", "--scaling"]
    calls = dry_run(*words, "1", "4", "70")
    assert operations(calls) == [
        "ListEndpoints",
        "ListObjectsV2",
        "ListModels",
        "ListEndpointConfigs",
        "PutObject",
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
        "DescribeEndpoint",
        "RegisterScalableTarget",
        "PutScalingPolicy",
    ]
    stored = parameters(calls, "PutObject")
    container = parameters(calls, "CreateModel")["PrimaryContainer"]
    assert container["ModelDataUrl"] == f"s3://{BUCKET}/{stored['Key']}"
    assert container["Environment"] == {"A": "b=c"}
    again = dry_run(*words, "1", "4", "70")
    assert parameters(again, "CreateEndpoint") == parameters(calls, "CreateEndpoint")


def test_a_dry_update_shows_the_whole_way() -> None:
    calls = dry_run(
        *["update", "tt", *BASE, *DATA, *QUEUE, "--failure", f"s3://{BUCKET}/failed"],
        *["--success-topic", TOPIC, "--error-topic", TOPIC, "--max-concurrent", "2"],
        *["--count", "2", "--traffic", "linear", "--step", "50", "--alarm", "theirs"],
        *["--alarm-errors", "3%", "--alarm-latency", "300", "--scaling", "0", "4", "2"],
    )
    updated = parameters(calls, "UpdateEndpoint")["DeploymentConfig"]
    routing = updated["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert (routing["Type"], routing["LinearStepSize"]["Value"]) == ("LINEAR", 50)
    alarms = [alarm["AlarmName"] for alarm in updated["AutoRollbackConfiguration"]["Alarms"]]
    assert alarms == ["theirs", "tt-marquee-errors", "tt-marquee-latency"]
    queue = parameters(calls, "CreateEndpointConfig")["AsyncInferenceConfig"]
    assert queue["ClientConfig"] == {"MaxConcurrentInvocationsPerInstance": 2}
    assert operations(calls)[-2:] == ["DeleteEndpointConfig", "DeleteModel"]


def test_an_update_makes_alarms_unless_it_is_told_not_to() -> None:
    words = ["update", "tt", *BASE, *DATA]
    alarms = [call["parameters"] for call in dry_run(*words) if "Alarm" in call["operation"]]
    assert [alarm["Threshold"] for alarm in alarms] == [10, 15_000_000]
    (errors,) = (call for call in dry_run(*words, *QUEUE) if "Alarm" in call["operation"])
    assert errors["parameters"]["AlarmName"] == "tt-marquee-errors"
    calls = dry_run(*words, "--no-alarms")
    assert "PutMetricAlarm" not in operations(calls)
    assert (
        "AutoRollbackConfiguration" not in parameters(calls, "UpdateEndpoint")["DeploymentConfig"]
    )


def test_variants_are_versions_or_addresses(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_project.root)
    calls = dry_run(
        *["deploy", "cifar", *BASE, "--bucket", BUCKET, "--count", "2"],
        *["--variant", "old=2.0,weight=90", "--variant"],
        f"new={DATA[1]},weight=10,type=ml.c5.2xlarge,count=1",
    )
    old, new = parameters(calls, "CreateEndpointConfig")["ProductionVariants"]
    assert (old["InitialVariantWeight"], new["InitialVariantWeight"]) == (90, 10)
    assert (old["InstanceType"], new["InstanceType"]) == ("ml.c5.xlarge", "ml.c5.2xlarge")
    assert (old["InitialInstanceCount"], new["InitialInstanceCount"]) == (2, 1)
    assert operations(calls).count("CreateModel") == 2
    assert operations(calls).count("PutObject") == 1


def test_a_dry_serverless_deployment() -> None:
    words = ["deploy", "tt", *BASE, *DATA, "--serverless", "--memory", "2048"]
    calls = dry_run(*words, "--max-concurrent", "7", "--provisioned", "2")
    (variant,) = parameters(calls, "CreateEndpointConfig")["ProductionVariants"]
    assert variant["ServerlessConfig"] == {
        "MemorySizeInMB": 2048,
        "MaxConcurrency": 7,
        "ProvisionedConcurrency": 2,
    }
    updated = parameters(dry_run("update", *words[1:]), "UpdateEndpoint")
    assert "DeploymentConfig" not in updated


def test_a_dry_closed_deployment() -> None:
    calls = dry_run(
        *["deploy", "tt", *BASE, "--model-data", f"s3://{BUCKET}/models/", "--multi-model"],
        *["--kms-key", "alias/a", "--output-kms-key", "alias/b", "--subnet", "subnet-0a"],
        *["--security-group", "sg-0b", "--tag", "team=lions", "--no-model-cache"],
        *["--data-capture", f"s3://{BUCKET}/captured", "--capture-percent", "5"],
    )
    config = parameters(calls, "CreateEndpointConfig")
    assert (config["KmsKeyId"], config["DataCaptureConfig"]["KmsKeyId"]) == ("alias/a", "alias/b")
    assert config["DataCaptureConfig"]["InitialSamplingPercentage"] == 5
    model = parameters(calls, "CreateModel")
    assert model["PrimaryContainer"]["Mode"] == "MultiModel"
    assert model["VpcConfig"]["Subnets"] == ["subnet-0a"]
    assert parameters(calls, "CreateEndpoint")["Tags"] == [{"Key": "team", "Value": "lions"}]


def test_traffic_from_the_command_line(account: Account) -> None:
    data = DATA[1]
    words = ["deploy", "tt", *BASE, "--region", REGION, "--variant", f"a={data}"]
    assert run(*words, "--variant", f"b={data},weight=0").exit_code == 0
    done = run("traffic", "tt", "a=1", "b=3", "--region", REGION)
    assert (done.exit_code, done.stdout) == (0, "a 25.0%, b 75.0%\n")
    planned = dry_run("traffic", "tt", "a=1")
    assert parameters(planned, "UpdateEndpointWeightsAndCapacities")["EndpointName"] == "tt"


def test_dry_requests(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"a photo")
    asked = [str(photo), "--param", "top_k=3", "--accept", "npy"]
    (call,) = dry_run("invoke", "tt", *asked)
    assert call["parameters"] == {
        "EndpointName": "tt",
        "ContentType": "image/png",
        "Accept": "application/x-npy",
        "CustomAttributes": "X-Marquee-Top-K=3",
        "Body": str(photo),
    }
    calls = dry_run("invoke", "tt", *asked, "--async", "--inference-id", "one")
    assert operations(calls) == [
        "DescribeEndpoint",
        "DescribeEndpointConfig",
        "PutObject",
        "InvokeEndpointAsync",
        "ListObjectsV2",
        "GetObject",
    ]


def test_a_dry_deletion_does_not_ask() -> None:
    done = operations(dry_run("delete", "tt"))
    for operation in ("DeregisterScalableTarget", "DeleteAlarms", "DeleteEndpoint"):
        assert operation in done
    assert done[-1] == "DeleteModel"


def test_deletion_asks(account: Account) -> None:
    refused = run("delete", "tt", "--region", REGION, typed="n\n")
    assert refused.exit_code == 1
    assert "Delete the endpoint tt" in refused.stderr
    done = run("delete", "tt", "--region", REGION, "--yes")
    assert (done.exit_code, done.stdout) == (0, "deleted nothing, for nothing was there\n")


def test_an_endpoint_from_the_command_line(account: Account) -> None:
    words = ["deploy", "tt", *BASE, *DATA, "--region", REGION]
    done = run(*words)
    assert (done.exit_code, done.stdout) == (0, "the endpoint tt is in service\n")
    assert "Creating Endpoint tt" in done.stderr
    changed = run(*words, "--count", "2")
    assert changed.exit_code == 1
    assert "exists with another configuration" in changed.stderr


class Answering(Account):
    """An account whose endpoints answer ``content``."""

    content = (b"", "")

    def make(self, call: Call) -> Answer:
        body, kind = self.content
        return {"Body": io.BytesIO(body), "ContentType": kind}


def test_answers_are_printed_or_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "Account", Answering)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(b"a photo")
    words = ["invoke", "tt", "photo.png", "--region", REGION]
    monkeypatch.setattr(Answering, "content", (b'{"a":1}', "application/json"))
    assert run(*words).stdout == '{"a":1}\n'
    assert run(*words, "-o", "a.json").stdout == "a.json  application/json, 7 bytes\n"
    assert (tmp_path / "a.json").read_bytes() == b'{"a":1}'
    monkeypatch.setattr(Answering, "content", (b"\x89PNG", "image/png"))
    assert "photo-answer.png  image/png, 4 bytes" in run(*words).stdout
    assert (tmp_path / "photo-answer.png").read_bytes() == b"\x89PNG"
    assert run(*words, "-o", "-").stdout_bytes == b"\x89PNG"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["deploy", "tt", *BASE], "either --bucket (to pack and upload) or --model-data"),
        (["deploy", "tt", *BASE, *DATA, "--bucket", BUCKET], "either --bucket"),
        (["deploy", "tt", *BASE, *DATA, "--version", "1.0"], "packed already"),
        (["deploy", "tt", *DATA, "--image", IMAGE], "Missing option '--role'"),
        (["deploy", "tt", *BASE, *DATA, "--async"], "--async needs --output"),
        (["deploy", "tt", *BASE, *DATA, "--error-topic", TOPIC], "--error-topic is for --async"),
        (["deploy", "tt", *BASE, *DATA, "--env", "A"], "'--env': 'A' is not NAME=VALUE"),
        (["invoke", "tt", "x.png", "--input", "s3://b/c"], "are for --async"),
        (["deploy", "tt", *BASE, *DATA, "--variant", "new"], "'new' is no variant; expected NAME="),
        (["deploy", "tt", *BASE, *DATA, "--variant", f"a={DATA[1]}"], "--model-data is in each"),
        (["deploy", "tt", *BASE, "--variant", "a=1.0"], "--bucket is where a --variant"),
        (["deploy", "tt", *BASE, "--variant", f"a={DATA[1]},weight=nan"], "'nan' is no number"),
        (["deploy", "tt", *BASE, "--variant", f"a={DATA[1]},count=0"], "0 is not in the range"),
        (["deploy", "tt", *BASE, *DATA, "--memory", "2048"], "--memory is for --serverless"),
        (["deploy", "tt", *BASE, *DATA, "--max-concurrent", "2"], "for --async, and for --serv"),
        (["deploy", "tt", *BASE, *DATA, "--output-kms-key", "alias/a"], "for --async and --data"),
        (["deploy", "tt", *BASE, *DATA, "--capture-percent", "5"], "is for --data-capture"),
        (["deploy", "tt", *BASE, *DATA, "--no-model-cache"], "is for --multi-model"),
        (["deploy", "tt", *BASE, "--multi-model", "--bucket", BUCKET], "sagemaker models put"),
        (
            ["deploy", "tt", *BASE, *DATA, "--serverless", "--count", "1"],
            "--count is for instances",
        ),
        (
            ["deploy", "tt", *BASE, *DATA, "--serverless", "--scaling", "1", "2", "3"],
            "--scaling is",
        ),
        (
            ["deploy", "tt", *BASE, *DATA, "--serverless", "--startup-timeout", "60"],
            "--startup-tim",
        ),
        (["deploy", "tt", *BASE, *DATA, "--tag", "a"], "'--tag': 'a' is not NAME=VALUE"),
        (["update", "tt", *BASE, *DATA, "--alarm-errors", "5"], "'5' is too much; expected at mo"),
        (["update", "tt", *BASE, *DATA, "--no-alarms", "--alarm-errors", "5%"], "makes none"),
        (["update", "tt", *BASE, *DATA, "--serverless", "--alarm-latency", "5"], "watches none"),
        (["traffic", "tt", "new"], "'new' is not VARIANT=WEIGHT, such as new=10"),
        (["traffic", "tt", "new=-1"], "-1.0 is not in the range"),
        (["traffic", "tt"], "Missing argument 'VARIANT=WEIGHT...'"),
        (["pack"], "name a MODEL, or a folder with --script"),
        (["pack", "--script", ".", "--version", "1"], "has no --version"),
    ],
)
def test_options_that_do_not_fit(words: list[str], told: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert told in done.stderr


def test_a_name_that_no_bucket_can_have(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text("def model_fn(folder): return None\n")
    where = ["--script", str(tmp_path), "--bucket", "s3://models"]
    done = run("deploy", "tt", *BASE, *where, "--dry-run")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "Error: --bucket is 's3://models'; expected a bucket's name alone"
    )


def test_a_wrong_value_is_one_sentence() -> None:
    done = run("deploy", "tt", *BASE, *DATA, "--scaling", "0", "1", "1", "--dry-run")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: --scaling is 0 1 1; expected MIN (at least 1")
