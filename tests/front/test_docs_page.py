"""The page at ``/docs`` in a real browser: it asks for the key, and sends a request."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser import visit
from tests.server.test_content_types import SHIP
from tests.support import Running

DESK = (1280, 900)


def test_a_person_sends_a_picture_from_the_page(
    browser: Browser, door: Running, tmp_path: Path
) -> None:
    (tmp_path / "ship.png").write_bytes(SHIP)
    with visit(browser, f"{door.inference}/docs", DESK) as page:
        field = page.get_by_label("This server asks for its inference key")
        field.fill("wrong")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("alert")).to_contain_text("Token Authorization failed")
        field.fill(door.keys.get("inference"))
        page.get_by_role("button", name="Show").click()
        asked = page.locator("#operations-cifar-predict_cifar")
        asked.locator(".opblock-summary-control").click()
        asked.get_by_role("button", name="Try it out").click()
        asked.get_by_label("Request content type").select_option("image/png")
        asked.locator("input[type=file]").set_input_files(tmp_path / "ship.png")
        asked.get_by_role("button", name="Execute").click()
        expect(asked.locator(".live-responses-table")).to_contain_text(
            re.compile('"label": "ship"')
        )
