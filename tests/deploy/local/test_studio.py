"""The studio's tab "Jobs" beside a running cloud, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from tests.deploy.local.support import UpCloud
from tests.studio.conftest import DESKTOP, Studio, keep, opened, visit
from tests.support import ROOT, Running

SECONDS = 120_000


@pytest.fixture(scope="module")
def desk(cloud: UpCloud, browser: Browser) -> Iterator[Page]:
    """A studio beside the cloud."""
    server = Running(cloud.project, cloud.process, cloud.environment, Path())
    with (
        opened(server, "--port", "0") as address,
        visit(browser, Studio(address, server), DESKTOP) as page,
    ):
        page.get_by_role("tab", name="Jobs").click()
        expect(page.get_by_role("combobox", name="Pipeline")).not_to_have_value("")
        yield page


def submit(page: Page, pipeline: str, file: Path, parameters: str = "") -> None:
    page.get_by_role("combobox", name="Pipeline").click()
    page.get_by_role("option", name=pipeline).click()
    clear = page.locator("#jobs").get_by_role("button", name="Clear")
    if clear.count():
        clear.click()
    page.locator("#jobs input[type=file]").set_input_files(file)
    expect(clear).to_be_visible()
    page.get_by_label("Parameters").fill(parameters)
    page.get_by_role("button", name="Submit").click()


@pytest.mark.parametrize(
    ("pipeline", "model", "parameters", "results"),
    [
        ("timetravel: jobs of the stack's API", "timetravel", "align=false", 5),
        ("inkwash: the stack's bucket", "inkwash", "", 1),
        ("endpoint marquee-timetravel", "timetravel", "align=false", 1),
    ],
)
def test_a_job_is_done_and_has_links(
    desk: Page, pipeline: str, model: str, parameters: str, results: int
) -> None:
    (example,) = (ROOT / "handlers" / model).glob("example.*")
    submit(desk, pipeline, example, parameters)
    row = desk.get_by_role("row").filter(has=desk.get_by_role("cell", name=pipeline))
    expect(row.get_by_role("cell", name="done")).to_be_visible(timeout=SECONDS)
    links = desk.locator("#jobs p").filter(has_text=f"{example.name}, for an hour").first
    expect(links.get_by_role("link")).to_have_count(results)
    found = Axe().run(desk).response["violations"]
    assert [one for one in found if one["impact"] in ("serious", "critical")] == []
    keep(desk, f"jobs-{model}-{results}")


def test_a_job_that_fails_says_why(desk: Page, tmp_path: Path) -> None:
    text = tmp_path / "words.jpg"
    text.write_text("no picture")
    submit(desk, "inkwash: the stack's bucket", text)
    row = desk.get_by_role("row").filter(has=desk.get_by_role("cell", name="words.jpg"))
    expect(row.get_by_role("cell", name="failed")).to_be_visible(timeout=SECONDS)
