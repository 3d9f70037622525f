"""Create the stack's resources in the emulator, from the template that goes to AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.local import account, resources, routes, template
from deploy.local.template import Made, Resolver
from marquee.errors import MarqueeError


class Stack:
    """A stack of a template.

    Attributes:
        name: its name.
        code: the folder that the template's folders of code are relative to.
        made: the resources that exist, by their names in the template.
    """

    def __init__(self, path: Path, name: str, parameters: Mapping[str, str], address: str) -> None:
        self.name = name
        self.code = path.parent
        self.made: dict[str, Made] = {}
        self._address = address
        self._template = template.read(path, parameters)
        self._clients: dict[str, Any] = {}
        self._under_way: list[str] = []
        self._progress: Callable[[str], None] = lambda _: None
        self._resolver = Resolver(self._template, name, parameters, self._make)

    @property
    def wanted(self) -> list[str]:
        """Names of the resources that are made, in the template's order."""
        return [
            name
            for name, one in self._template["Resources"].items()
            if one["Type"] not in resources.LEFT_OUT and self._resolver.wanted(name)
        ]

    def create(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Make everything whose condition holds.

        Raises:
            MarqueeError: a resource cannot be made; the message says which, and why.
        """
        self._progress = progress
        for name in self.wanted:
            self._make(name)

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The template's outputs."""
        given = self._template.get("Outputs", {})
        return {name: str(self._resolver.value(one["Value"])) for name, one in given.items()}

    def register(self, outputs: Mapping[str, str]) -> None:
        """Have CloudFormation know the stack and ``outputs``, for programs that ask it for them.

        The emulator would make the resources its own way, so its copy has none of them.
        """
        body = {
            # There must be a resource; this one is never made.
            "Conditions": {"Never": {"Fn::Equals": ["here", "there"]}},
            "Resources": {"Nothing": {"Type": "AWS::SNS::Topic", "Condition": "Never"}},
            "Outputs": {name: {"Value": value} for name, value in outputs.items()},
        }
        self.client("cloudformation").create_stack(
            StackName=self.name, TemplateBody=json.dumps(body)
        )

    def api(self) -> routes.Api:
        """Return the template's REST API.

        Raises:
            MarqueeError: it has none.
        """
        rest = self._only("AWS::ApiGateway::RestApi")
        body = self._resolver.value(self._properties(rest)["Body"])
        stage = self._resolver.value(self._properties(self._only("AWS::ApiGateway::Stage")))
        return routes.deployed(self._make(rest).ref, body, stage)

    def api_keys(self) -> list[str]:
        """Return the values of the API's keys."""
        client = self.client("apigateway")
        names = self._of_type("AWS::ApiGateway::ApiKey")
        found = (client.get_api_key(apiKey=self._make(n).ref, includeValue=True) for n in names)
        return [str(one["value"]) for one in found]

    def client(self, service: str) -> Any:
        """Return the SDK's client of a service, made once."""
        if service not in self._clients:
            self._clients[service] = account.client(service, self._address)
        return self._clients[service]

    def _make(self, name: str) -> Made:
        if name in self.made:
            return self.made[name]
        if name in self._under_way:
            circle = " -> ".join([*self._under_way, name])
            raise MarqueeError(f"the template's resources wait for each other: {circle}")
        self._under_way.append(name)
        try:
            made = self._make_now(name)
        finally:
            self._under_way.pop()
        self.made[name] = made
        self._progress(name)
        return made

    def _make_now(self, name: str) -> Made:
        described = self._template["Resources"].get(name)
        if described is None:
            raise MarqueeError(f"the template speaks of {name}, and does not have it")
        maker = resources.MAKERS.get(described["Type"])
        if maker is None:
            raise MarqueeError(
                f"{name} is a {described['Type']}, which the local cloud cannot make; add a "
                "maker in deploy/local/resources.py"
            )
        props = self._resolver.value(self._properties(name))
        try:
            return maker(self, name, props)
        except (ClientError, BotoCoreError) as error:
            raise MarqueeError(f"{name} ({described['Type']}) cannot be made: {error}") from error

    def _properties(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._template["Resources"][name].get("Properties", {})
        return found

    def _of_type(self, kind: str) -> list[str]:
        listed = self._template["Resources"]
        return [name for name in listed if listed[name]["Type"] == kind]

    def _only(self, kind: str) -> str:
        found = self._of_type(kind)
        if len(found) != 1:
            raise MarqueeError(f"the template has {len(found)} resources {kind}; one is expected")
        return found[0]
