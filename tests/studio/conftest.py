"""One server with all our models and a studio beside it, for all tests of the pages."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO

import pytest
from playwright.sync_api import Browser, Page

from marquee.errors import MarqueeError
from marquee.front import program
from marquee.project import Project
from tests.browser import visit as visit_page
from tests.support import (
    BIN,
    READY_SECONDS,
    ROOT,
    Running,
    check_mark,
    clean_environment,
    make_project,
    serving,
)

SCREENSHOTS = ROOT / "build" / "studio"
MODELS = ("cifar", "inkwash", "rotifer", "smoke", "timetravel")
DESKTOP, PHONE = (1280, 900), (360, 740)


@dataclass(frozen=True)
class Studio:
    """A `marquee studio` under test, and the server that it is for."""

    address: str
    server: Running


@pytest.fixture(scope="session")
def studio_project(
    project: Project, detectors_project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A project with our five models and their demo weights, as other tests have built them."""
    made = make_project(tmp_path_factory.mktemp("studio") / "project", *MODELS)
    for source in (project, detectors_project):
        for archive in source.model_store.glob("*.mar"):
            model, _, version = archive.stem.partition("-")
            if model in MODELS and float(version) < 91:  # from there on golden weights
                shutil.copy2(archive, made.model_store)
    return made


@pytest.fixture(scope="package")
def served(studio_project: Project) -> Iterator[Running]:
    """A running server with our five models, behind a front door where there is HAProxy."""
    with serving(studio_project, BIN / "marquee", "serve", *_front()) as running:
        yield running


def _front() -> list[str]:
    try:
        program.find()
    except MarqueeError:
        return []
    return ["--front"]


@pytest.fixture(scope="package")
def studio(served: Running) -> Iterator[Studio]:
    """A studio of that project, on this machine alone."""
    with opened(served, "--port", "0") as address:
        yield Studio(address, served)


@contextmanager
def opened(server: Running, *words: str, **extra: str) -> Iterator[str]:
    """Run `marquee studio` beside a server until the block ends; lend its address."""
    check_mark()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [BIN / "marquee", "studio", *words],
            cwd=server.project.root,
            env=clean_environment(**{**server.environment, **extra}),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                yield _address(process, output)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGINT)
                process.wait(timeout=60)
        said = _said(output)
    assert process.returncode == 0
    assert "Traceback" not in said, said


def _address(process: subprocess.Popen[str], output: IO[str]) -> str:
    """Wait until the studio says where it is; it prints little after that."""
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        for line in _said(output).splitlines():
            if line.startswith("Studio: "):
                return line.split()[1]
        time.sleep(0.1)
    raise AssertionError(f"the studio did not start:\n{_said(output)}")


def _said(output: IO[str]) -> str:
    # From the start without moving: the studio writes by the same descriptor.
    size = os.fstat(output.fileno()).st_size
    return os.pread(output.fileno(), size, 0).decode(errors="replace")


def visit(browser: Browser, studio: Studio, size: tuple[int, int]) -> AbstractContextManager[Page]:
    """Open the studio in a fresh browser of this size; it may ask nobody but the studio."""
    return visit_page(browser, studio.address, size)


@pytest.fixture
def page(browser: Browser, studio: Studio) -> Iterator[Page]:
    """The studio on a desk."""
    with visit(browser, studio, DESKTOP) as opened_page:
        yield opened_page


@pytest.fixture
def phone(browser: Browser, studio: Studio) -> Iterator[Page]:
    """The studio on a phone."""
    with visit(browser, studio, PHONE) as opened_page:
        yield opened_page


def keep(page: Page, name: str) -> None:
    """Keep a screenshot of the whole page, for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
