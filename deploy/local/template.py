"""The stack's SAM template, with its references resolved resource by resource."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from samtranslator import yaml_helper
from samtranslator.parser.parser import Parser
from samtranslator.public.exceptions import InvalidDocumentException
from samtranslator.translator.translator import Translator

from deploy.local import account
from marquee.errors import MarqueeError

# Where the template's code folder is told in the transformed one, which knows only S3.
CODE_BUCKET = "local-folder"
_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")
NOTHING = object()

Json = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """A resource that exists: what ``Ref`` and ``Fn::GetAtt`` say of it."""

    ref: str
    attributes: Mapping[str, str]


def read(path: Path, parameters: Mapping[str, str]) -> Json:
    """Return the template at ``path`` in plain CloudFormation, by AWS's own translator.

    Raises:
        MarqueeError: it is not there, or the translator does not take it.
    """
    if not path.is_file():
        raise MarqueeError(f"there is no template {path}; run this in a clone of marquee")
    template = source(path)
    _place_code(template)
    session = boto3.Session(region_name=account.REGION)
    # It warns of features of its own that it would fetch from AWS.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    translator: Any = Translator({}, Parser(), boto_session=session)
    try:
        made: Json = translator.translate(template, _typed(template, parameters))
    except InvalidDocumentException as error:
        causes = "; ".join(cause.message for cause in error.causes)
        raise MarqueeError(f"{path} cannot be read: {causes}") from error
    return made


def source(path: Path) -> Json:
    """Return the template as it stands in its file."""
    parse: Any = yaml_helper.yaml_parse
    parsed: Json = parse(path.read_text())
    return parsed


def _place_code(template: Json) -> None:
    """Turn the folders of code into addresses, which the translator insists on."""
    sections = [template.get("Globals", {}).get("Function", {})]
    sections += [one.get("Properties", {}) for one in template["Resources"].values()]
    for section in sections:
        uri = section.get("CodeUri")
        if isinstance(uri, str) and not uri.startswith("s3://"):
            section["CodeUri"] = {"Bucket": CODE_BUCKET, "Key": uri}


def _typed(template: Json, parameters: Mapping[str, str]) -> Json:
    """Return parameters, which commands give as texts, with numbers where they are declared."""
    declared = template.get("Parameters", {})
    numbers = {name for name, one in declared.items() if one.get("Type") == "Number"}
    return {
        name: _number(name, text) if name in numbers else text for name, text in parameters.items()
    }


def _number(name: str, value: str) -> float:
    try:
        return int(value) if value.isdecimal() else float(value)
    except ValueError as error:
        raise MarqueeError(
            f"the template's parameter {name} is {value!r}; a number is expected"
        ) from error


class Resolver:
    """Knows the values of parameters, conditions and resources of a template.

    ``make`` creates the named resource when it is first spoken of; so everything is made in
    the order in which it is needed.
    """

    def __init__(
        self,
        template: Json,
        stack: str,
        parameters: Mapping[str, str],
        make: Callable[[str], Made],
    ) -> None:
        self._template = template
        self._make = make
        declared = template.get("Parameters", {})
        defaults = {name: one.get("Default") for name, one in declared.items()}
        values = defaults | _typed(template, parameters)
        if missing := [name for name, value in values.items() if value is None]:
            raise MarqueeError(f"the template's parameters {', '.join(missing)} need a value")
        for name, one in declared.items():
            if one.get("Type") == "CommaDelimitedList":
                values[name] = str(values[name]).split(",")
        self._values = values | {
            "AWS::StackName": stack,
            "AWS::Region": account.REGION,
            "AWS::AccountId": account.ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": NOTHING,
        }

    def wanted(self, name: str) -> bool:
        """Whether a resource's condition holds."""
        condition = self._template["Resources"][name].get("Condition")
        return condition is None or self.condition(condition)

    def condition(self, name: str) -> bool:
        """Return the value of a condition."""
        return bool(self.value(self._template["Conditions"][name]))

    def value(self, given: Any) -> Any:
        """Return ``given`` with all that it refers to filled in.

        Raises:
            MarqueeError: it uses a function that is not known here.
        """
        if isinstance(given, list):
            return [one for one in map(self.value, given) if one is not NOTHING]
        if not isinstance(given, dict):
            return given
        if len(given) == 1:
            name = next(iter(given))
            if name in ("Ref", "Condition") or name.startswith("Fn::"):
                return self._function(name, given[name])
        values = {key: self.value(one) for key, one in given.items()}
        return {key: one for key, one in values.items() if one is not NOTHING}

    def _function(self, name: str, given: Any) -> Any:
        known: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self.condition,
            "Fn::GetAtt": self._attribute,
            "Fn::Sub": self._sub,
            "Fn::If": self._if,
            "Fn::Equals": lambda pair: str(self.value(pair[0])) == str(self.value(pair[1])),
            "Fn::Not": lambda one: not self.value(one[0]),
            "Fn::And": lambda many: all(map(self.value, many)),
            "Fn::Or": lambda many: any(map(self.value, many)),
            "Fn::Join": lambda pair: pair[0].join(map(str, self.value(pair[1]))),
            "Fn::Select": lambda pair: self.value(pair[1])[int(self.value(pair[0]))],
            "Fn::Split": lambda pair: str(self.value(pair[1])).split(pair[0]),
        }
        if name not in known:
            raise MarqueeError(f"the template uses {name}, which the local cloud does not know")
        return known[name](given)

    def _ref(self, name: str) -> Any:
        return self._values[name] if name in self._values else self._make(name).ref

    def _attribute(self, given: Any) -> str:
        name, _, attribute = (
            given.partition(".") if isinstance(given, str) else (given[0], "", given[1])
        )
        made = self._make(name)
        if attribute not in made.attributes:
            raise MarqueeError(
                f"the template asks for {name}.{attribute}, which the local cloud does not know"
            )
        return made.attributes[attribute]

    def _if(self, given: Any) -> Any:
        return self.value(given[1] if self.condition(given[0]) else given[2])

    def _sub(self, given: Any) -> str:
        text, own = given if isinstance(given, list) else (given, {})

        def filled(found: re.Match[str]) -> str:
            literal, name = found.groups()
            if literal:
                return f"${{{name}}}"
            if name in own:
                return str(self.value(own[name]))
            return str(self._attribute(name) if "." in name else self._ref(name))

        return _VARIABLE.sub(filled, text)
