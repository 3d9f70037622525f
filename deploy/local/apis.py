"""How the template's REST API is made: known to the emulator, answered by our gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deploy.local.resources import Maker, Props
from deploy.local.routes import BINARY, Api, refusals, routes
from deploy.local.template import Made

if TYPE_CHECKING:
    from deploy.local.stack import Stack


def rest_api(stack: Stack, name: str, props: Props) -> Made:
    """Make the API's record; its routes are read by :func:`deployed`."""
    called = props.get("Name") or f"{stack.name}-{name}"
    made = stack.client("apigateway").create_rest_api(name=called)
    return Made(made["id"], {"RootResourceId": made.get("rootResourceId", "")})


def deployment(_stack: Stack, name: str, _props: Props) -> Made:
    """A deployment has nothing that the routes do not say."""
    return Made(name, {})


def stage(_stack: Stack, _name: str, props: Props) -> Made:
    """A stage is its name; its settings are read by :func:`deployed`."""
    return Made(props["StageName"], {})


def api_key(stack: Stack, name: str, props: Props) -> Made:
    """Make a key; the emulator draws its value."""
    called = props.get("Name") or f"{stack.name}-{name}"
    made = stack.client("apigateway").create_api_key(name=called, enabled=props["Enabled"])
    return Made(made["id"], {"APIKeyId": made["id"]})


def usage_plan(stack: Stack, _name: str, props: Props) -> Made:
    """Make a usage plan."""
    throttle, quota = props.get("Throttle", {}), props.get("Quota", {})
    made = stack.client("apigateway").create_usage_plan(
        name=props["UsagePlanName"],
        throttle={_small(key): _number(value) for key, value in throttle.items()},
        quota={_small(key): _number(value) for key, value in quota.items()},
    )
    return Made(made["id"], {"Id": made["id"]})


def usage_plan_key(stack: Stack, name: str, props: Props) -> Made:
    """Put a key under a plan."""
    stack.client("apigateway").create_usage_plan_key(
        usagePlanId=props["UsagePlanId"], keyId=props["KeyId"], keyType=props["KeyType"]
    )
    return Made(name, {})


def _small(name: str) -> str:
    return name[0].lower() + name[1:]


def _number(value: Any) -> Any:
    return int(value) if str(value).isdecimal() else value


def deployed(rest: Made, body: Mapping[str, Any], stage_props: Mapping[str, Any]) -> Api:
    """Return what the gateway is to answer, from the resolved properties of API and stage."""
    settings: dict[str, Any] = next(iter(stage_props.get("MethodSettings", [])), {})
    return Api(
        api_id=rest.ref,
        stage=stage_props["StageName"],
        routes=routes(body),
        binary=tuple(body.get(BINARY, [])),
        refusals=refusals(body),
        rate=float(settings.get("ThrottlingRateLimit", 0)),
        burst=int(settings.get("ThrottlingBurstLimit", 0)),
    )


MAKERS: Mapping[str, Maker] = {
    "AWS::ApiGateway::RestApi": rest_api,
    "AWS::ApiGateway::Deployment": deployment,
    "AWS::ApiGateway::Stage": stage,
    "AWS::ApiGateway::ApiKey": api_key,
    "AWS::ApiGateway::UsagePlan": usage_plan,
    "AWS::ApiGateway::UsagePlanKey": usage_plan_key,
}
