"""A real browser for the tests of pages: Debian's Chromium, or Chrome, by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

NAMES = ("chromium", "google-chrome")
# That a page may take here, in milliseconds: a machine that is busy is slow, and no test measures.
PATIENCE = 90_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser; without one the tests are skipped, loudly.

    Of a module: as long as Playwright runs, its thread has an event loop, and asyncio.run fails.
    """
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"NOT TESTED, pages in a browser: none of {', '.join(NAMES)} is installed")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path)
        yield chromium
        chromium.close()


@contextmanager
def visit(browser: Browser, address: str, size: tuple[int, int]) -> Iterator[Page]:
    """Open a page in a fresh browser of this size; it may ask nobody but its own server."""
    width, height = size
    with browser.new_context(viewport={"width": width, "height": height}) as context:
        elsewhere: list[str] = []
        origin = "/".join(address.split("/")[:3])

        def note(request: Request) -> None:
            if not request.url.startswith((origin, "data:", "blob:")):
                elsewhere.append(request.url)

        context.on("request", note)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        yield page
        assert elsewhere == []
