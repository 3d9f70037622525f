"""The tab "Operate" in a real browser: what is seen, changed and refused, and who may."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Locator, Page, Route, expect

from bench.broken import WAYS, variant
from marquee.errors import MarqueeError
from marquee.interrupts import until
from marquee.studio.access import permitted
from marquee.studio.connection import of_url
from marquee.studio.operate import LOOK_SECONDS
from marquee.studio.overview import Overview
from marquee.studio.run import USER
from marquee.torchserve.management import Management
from tests.studio.conftest import DESKTOP, PHONE, Studio, keep, opened, visit
from tests.support import ROOT

# Of a change: other work on the machine makes it take long.
SECONDS = 120_000
# The address of a look, which does not wait in the page's queue.
LOOKS = re.compile("/gradio_api/run/predict")
EXAMPLE = ROOT / "handlers" / "cifar" / "example.png"


@pytest.fixture(scope="module")
def desk(browser: Browser, studio: Studio) -> Iterator[Page]:
    """A page that all tests at a desk share."""
    with visit(browser, studio, DESKTOP) as page:
        look(page)
        yield page


def look(page: Page) -> None:
    """Open the tab, and wait until it has seen the server."""
    page.get_by_role("tab", name="Operate").click()
    expect(page.get_by_role("table", name="What the server serves")).to_be_visible()
    expect(page.get_by_label("Model", exact=True)).to_have_value("cifar")


def form(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def press(page: Page, button: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()


def ended(page: Page, what: str) -> str:
    """Wait until a change is over; return all that is told of it."""
    about = page.locator(".mq-told").filter(has=page.get_by_text(what, exact=True)).first
    expect(about.locator(".mq-done, .mq-refused")).to_be_visible(timeout=SECONDS)
    return about.inner_text()


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def row(page: Page, model: str, version: str) -> Locator:
    """Return a version's row of the table."""
    cell = page.get_by_role("cell", name=re.compile(f"^{re.escape(version)}( |$)"))
    first = page.get_by_role("cell", name=model, exact=True)
    table = page.get_by_role("table", name="What the server serves")
    return table.get_by_role("row").filter(has=first).filter(has=cell)


def default(studio: Studio) -> str | None:
    address = studio.server.environment["TS_MANAGEMENT_ADDRESS"]
    with Management(address, studio.server.keys) as api:
        return api.default("cifar")


def patiently(page: Page) -> None:
    """Have a swap watch for a second, and heed no times: the machine may be busy."""
    form(page, "Swap")
    page.get_by_label("Watched for, in seconds").fill("1")
    page.get_by_label("Times slower, at most").fill("1000")


def test_a_swap_there_and_back_with_its_steps(desk: Page, studio: Studio) -> None:
    patiently(desk)
    choose(desk, "Version that is to serve", "1.0")
    desk.get_by_label("Leave the old version its workers").check()
    press(desk, "Swap")
    steps = desk.locator(".mq-told li")
    expect(steps.filter(has_text="load")).to_be_visible(timeout=SECONDS)
    expect(desk.get_by_text(re.compile("going on for"))).to_be_visible()
    said = ended(desk, "swap cifar to 1.0")
    assert "cifar 1.0 serves in the place of 2.0" in said
    names = [text.split()[0] for text in steps.all_inner_texts()]
    assert names == ["load", "check", "compare", "switch", "watch", "retire"]
    assert default(studio) == "1.0"
    expect(row(desk, "cifar", "1.0")).to_contain_text("1.0 default")
    expect(desk.get_by_role("table", name="Changes")).to_contain_text("2.0 -> 1.0")
    keep(desk, "operate-swapped")

    press(desk, "Roll back to the version before")
    assert "cifar 2.0 serves in the place of 1.0" in ended(desk, "roll cifar back")
    assert default(studio) == "2.0"


def test_a_canary_is_begun_seen_and_withdrawn(desk: Page, studio: Studio) -> None:
    form(desk, "Canary")
    choose(desk, "Version to try", "1.0")
    desk.get_by_label("Share, in %").fill("50")
    press(desk, "Begin, or change the share")
    assert "gets 50.00% of the requests" in ended(desk, "try cifar 1.0 on 50 % of the requests")
    expect(row(desk, "cifar", "1.0")).to_contain_text("canary 50.00%")
    with studio.server.client() as client:
        for _ in range(10):
            client.post("/predictions/cifar", content=EXAMPLE.read_bytes()).raise_for_status()
    both = desk.get_by_role("table", name=re.compile("50.00% of the requests go to 1.0"))
    expect(both.get_by_role("cell", name=re.compile(" ms$")).first).to_be_visible()
    plots = desk.get_by_role("img", name=re.compile("Requests a second: 1.0 .*2.0 "))
    expect(plots).to_be_visible()
    keep(desk, "operate-canary")
    press(desk, "Withdraw")
    assert "gets no requests any more" in ended(desk, "withdraw the canary of cifar")
    expect(desk.get_by_text("cifar has no canary")).to_be_visible()


def test_workers_are_added(desk: Page) -> None:
    form(desk, "Scale")
    for workers in ("2", "1"):
        desk.get_by_label("Workers", exact=True).fill(workers)
        desk.get_by_label("At once").check()
        press(desk, "Scale")
        said = ended(desk, f"scale cifar to {workers} worker(s)")
        assert f"cifar 2.0 has {workers} worker(s)" in said
        expect(row(desk, "cifar", "2.0")).to_contain_text(f"{workers}/{workers} ready")


def test_what_is_refused_is_the_commands_own_sentence(desk: Page) -> None:
    form(desk, "Canary")
    press(desk, "Promote")
    assert "cifar has no canary; begin one: marquee canary" in ended(
        desk, "promote the canary of cifar"
    )
    form(desk, "Scale")
    desk.get_by_label("Workers", exact=True).fill("0")
    desk.get_by_label("At once").uncheck()
    press(desk, "Scale")
    assert "would be answered with 503" in ended(desk, "scale cifar to 0 worker(s)")
    keep(desk, "operate-refused")


def test_a_swap_that_fails_leaves_the_old_version(desk: Page, studio: Studio) -> None:
    store, (code, words) = studio.server.project.model_store, WAYS["answers wrongly"]
    broken = variant(store / "cifar-2.0.mar", store / "cifar-9.0.mar", "9.0", code)
    try:
        patiently(desk)
        choose(desk, "Version that is to serve", "9.0")
        press(desk, "Swap")
        said = ended(desk, "swap cifar to 9.0")
    finally:
        broken.unlink()
    assert words in said
    assert "cifar 2.0 serves as before" in said
    assert default(studio) == "2.0"
    expect(desk.get_by_role("table", name="Changes")).to_contain_text("REFUSED")
    keep(desk, "operate-failed")


def test_a_request_is_found_by_its_id(desk: Page, studio: Studio) -> None:
    with studio.server.client() as client:
        answer = client.post("/predictions/cifar", content=b"no picture")
    desk.get_by_role("button", name="The log of a request").click()
    field = desk.get_by_label("Its id")
    field.fill(answer.headers["x-request-id"])
    press(desk, "Find")
    door = desk.get_by_role("table", name="At the door")
    expect(door).to_contain_text(str(answer.status_code))
    # What a page shows is no template, whoever wrote it.
    field.fill("{{this}} ${1 + 1} <b>")
    field.press("Enter")
    expect(desk.get_by_text("no line of a request '{{this}} ${1 + 1} <b>'")).to_be_visible()


def test_nobody_looks_where_nobody_sees(browser: Browser, studio: Studio) -> None:
    """The page's clock is turned: nothing is waited for."""
    looks: list[str] = []
    with browser.new_context() as context:
        page = context.new_page()
        page.clock.install()
        page.goto(studio.address)
        look(page)
        with page.expect_request(LOOKS):
            page.clock.run_for(round(1000 * LOOK_SECONDS))
        page.on("request", lambda request: looks.append(request.url))
        page.get_by_role("tab", name="Try").click()
        expect(page.locator("#operate")).to_be_hidden()

        def quiet() -> bool:
            looks.clear()
            page.clock.run_for(round(10_000 * LOOK_SECONDS))
            page.evaluate("0")
            return not any(map(LOOKS.search, looks))

        assert until(quiet, 30)
        assert quiet()


def test_a_look_that_comes_late_moves_nobody(page: Page) -> None:
    look(page)
    held: list[Route] = []
    page.route(LOOKS, lambda route: held.append(route), times=1)  # noqa: PLW0108 - it is marked
    while not held:
        page.wait_for_timeout(100)
    model = page.get_by_label("Model", exact=True)
    model.click()
    with page.expect_response(LOOKS):
        page.get_by_role("option", name="inkwash").click()
    with page.expect_response(LOOKS):
        held[0].continue_()
    for _ in range(20):  # the next look leaves it where this one has put it
        page.wait_for_timeout(100)
        assert model.input_value() == "inkwash"


@pytest.mark.parametrize(("size", "name"), [(DESKTOP, "Canary"), (PHONE, "Scale")])
def test_all_may_use_it(browser: Browser, studio: Studio, size: tuple[int, int], name: str) -> None:
    with visit(browser, studio, size) as page:
        look(page)
        keep(page, f"operate-{size[0]}")
        form(page, name)
        found = Axe().run(page).response["violations"]
        assert [one for one in found if one["impact"] in ("serious", "critical")] == []
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size[0]


def test_others_show_the_management_token(browser: Browser, studio: Studio) -> None:
    server = studio.server
    words = ("--port", "0", "--share-on-lan", "--password", "for a test")
    with (
        opened(server, *words) as address,
        visit(browser, Studio(address, server), DESKTOP) as page,
    ):
        page.get_by_label("username").fill(USER)
        page.get_by_label("password").fill("for a test")
        press(page, "Login")
        page.get_by_role("tab", name="Operate").click()
        token = page.get_by_label("Management token")
        token.fill("made-up")
        press(page, "Show it")
        expect(page.locator("#operate-lock .mq-refused")).to_contain_text("Token")
        expect(page.get_by_role("table")).to_have_count(0)
        keep(page, "operate-locked")
        token.fill(server.keys.get("management"))
        token.press("Enter")
        expect(page.get_by_role("table", name="What the server serves")).to_be_visible()
        expect(token).to_have_value("")
        assert server.keys.get("management") not in page.content()
        page.get_by_role("tab", name="Jobs").click()
        expect(page.get_by_text("they are for whoever sits there")).to_be_visible()


def test_of_another_machine_the_models_are_seen_and_no_more(studio: Studio) -> None:
    server = studio.server
    elsewhere = of_url(server.inference, None, server.environment["TS_MANAGEMENT_ADDRESS"], None)
    refusal = pytest.raises(MarqueeError, match="show the server's management token first")
    with refusal, permitted(elsewhere, ""):
        raise AssertionError("it was let in")
    with permitted(elsewhere, server.keys.get("management")) as api:
        seen = Overview(None).look(api, None)
    assert "cifar" in seen.names
    assert "2.0 default" in seen.models
    assert seen.history == seen.traffic == ""
