"""A pytest plugin that checks handlers: ``pytest --marquee-model NAME``.

Each check of ``marquee check`` becomes a test of its own, such as ``marquee::cifar::memory``.
With the option, and without paths on the command line, nothing else is collected. From Python,
:func:`marquee.conformance.check.check` does the same.

pytest loads this module with every run in the environment: it imports nothing heavy.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from marquee.conformance.check import CheckReport
    from marquee.conformance.subject import CheckResult

OPTION = "--marquee-model"


class CheckFailure(Exception):
    """A check failed; the text says what the handler did."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("marquee").addoption(
        OPTION,
        action="append",
        default=[],
        metavar="NAME",
        help="check the handler of a model of this project, or of an archive, without a server",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect no other tests where the command line names models and no paths."""
    if not config.getoption(OPTION) or config.args_source is config.ArgsSource.ARGS:
        return None
    # What was asked for itself must not be ignored, only what is in it.
    started_from = {config.invocation_params.dir / argument for argument in config.args}
    return None if collection_path in started_from else True


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test for each check of each model."""
    for named in config.getoption(OPTION):
        model = Model.from_parent(session, name=named, nodeid=f"marquee::{named}")
        found = [*model.collect()]
        items.extend(found)
        # For those who count along, such as the summary at the end.
        report = pytest.CollectReport(model.nodeid, "passed", None, [*found])
        config.hook.pytest_collectreport(report=report)


class Model(pytest.Collector):
    """A model, or an archive; it is checked once, when the first of its tests runs."""

    _reports: list[CheckReport] | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """Yield a test for each check."""
        from marquee.conformance.suite import NAMES

        for name in NAMES:
            yield Check.from_parent(self, name=name)

    @property
    def reports(self) -> list[CheckReport]:
        """What came of all checks, for each version."""
        from marquee.conformance.check import check
        from marquee.project import Project

        if self._reports is None:
            self._reports = check(Project.find(), self.name)
        return self._reports


class Check(pytest.Item):
    """One check of a model, in all its versions."""

    def runtest(self) -> None:
        """Fail where a version failed; skip where none was checked."""
        model = self.parent
        if not isinstance(model, Model):
            raise TypeError(f"{self.nodeid} belongs to no model")
        found = [(report, self._result(report)) for report in model.reports]
        failed = [(report, result) for report, result in found if _is(result, "failed")]
        for report, _ in failed:
            self.add_report_section("call", f"worker of {report.name}", report.log)
        if failed:
            lines = [f"{report.name}: {result.detail}" for report, result in failed if result]
            raise CheckFailure("\n".join(lines))
        if all(result is None or _is(result, "skipped") for _, result in found):
            pytest.skip(next((result.detail for _, result in found if result), "was not run"))

    def _result(self, report: CheckReport) -> CheckResult | None:
        return next((result for result in report.results if result.check == self.name), None)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return what the handler did; how this plugin found it is of no interest."""
        from marquee.errors import MarqueeError

        if isinstance(excinfo.value, (CheckFailure, MarqueeError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return how the test is called in reports."""
        return self.path, None, self.nodeid


def _is(result: CheckResult | None, outcome: str) -> bool:
    return result is not None and result.outcome == outcome
