"""Calls to AWS, planned before any is made: a dry run prints them, an account makes them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from marquee.errors import MarqueeError

Answer = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A call to AWS.

    Attributes:
        service, operation: by their names in AWS's reference, such as ``CreateEndpoint``.
        parameters: of the operation; a path stands for the file's bytes.
        step: what users see when it is made.
        pending: makes it again and again: says what is still going on by its answer, or nothing;
            raises MarqueeError when that has failed.
        late: what is said when it goes on for too long, with ``{pending}`` and ``{seconds}``.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    step: str = ""
    pending: Callable[[Answer], str] | None = None
    late: str = ""


def unread(member: str, operation: str) -> str:
    """Return the words for what only the answer to a call tells, which a dry run does not make."""
    return f"<{member} of {operation}>"


def as_json(calls: Iterable[Call]) -> list[dict[str, Any]]:
    """Return calls for a dry run, each checked against AWS's own description of it.

    Raises:
        MarqueeError: AWS's operation does not take these parameters.
    """
    session = library("botocore.session").get_session()
    validate = library("botocore.validate").ParamValidator().validate
    lines = []
    for call in calls:
        model = session.get_service_model(call.service).operation_model(call.operation)
        files = {name: b"" for name, value in call.parameters.items() if isinstance(value, Path)}
        report = validate({**call.parameters, **files}, model.input_shape)
        if report.has_errors():
            problems = "; ".join(report.generate_report().splitlines())
            raise MarqueeError(f"{call.operation} cannot be called so: {problems}")
        parameters = {**call.parameters, **{name: str(call.parameters[name]) for name in files}}
        line = {"service": call.service, "operation": call.operation, "parameters": parameters}
        lines.append(line)
    return lines


def library(name: str) -> ModuleType:
    """Import a part of AWS's SDK, which is an extra."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MarqueeError(
            f"the SageMaker commands need {name.partition('.')[0]}, which is not installed here; "
            "run: .venv/bin/pip install -e '.[aws]'"
        ) from error
