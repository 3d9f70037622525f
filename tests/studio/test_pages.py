"""The frame of the pages."""

from playwright.sync_api import Page, expect


def test_the_page_has_its_tabs(page: Page) -> None:
    for name in ("Try", "Operate", "Jobs"):
        expect(page.get_by_role("tab", name=name)).to_be_visible()
