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

import pytest

from deploy.aws import validate
from tests.deploy.resolve import rights
from tests.deploy.stage import ALL_VARIABLES, Stage
from tests.support import BIN, ROOT

FUNCTIONS = ROOT / "deploy" / "aws" / "functions"
ALLOWED = {"boto3", "botocore", "numpy", "PIL", "shared", "timetravel", *sys.stdlib_module_names}


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
