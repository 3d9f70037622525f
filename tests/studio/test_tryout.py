"""Each model tried as a newcomer would, in a real browser, at a desk and on a phone."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.studio.conftest import DESKTOP, MODELS, PHONE, Studio, keep, visit
from tests.support import ROOT, clean_environment

CLEAR = re.compile("Clear|Remove")
SIZES = {"desk": DESKTOP, "phone": PHONE}
SHOWN = {
    "cifar": ".mq-label",
    "inkwash": ".mq-compare",
    "rotifer": ".mq-detections rect",
    "smoke": ".mq-mask canvas",
    "timetravel": ".mq-ages .mq-face",
}


@pytest.fixture(scope="module", params=SIZES)
def tried(request: pytest.FixtureRequest, browser: Browser, studio: Studio) -> Iterator[Page]:
    """A page for all that a module tries at one size."""
    with visit(browser, studio, SIZES[request.param]) as page:
        yield page


@pytest.fixture(scope="module")
def desk(browser: Browser, studio: Studio) -> Iterator[Page]:
    """A page for all that a module tries at a desk alone."""
    with visit(browser, studio, DESKTOP) as page:
        yield page


@pytest.fixture(autouse=True)
def without_a_toast(request: pytest.FixtureRequest) -> Iterator[None]:
    """See that the page told of no failure of its own meanwhile; and of which, where it did."""
    yield
    for name in {"desk", "tried"} & {*request.fixturenames}:
        assert request.getfixturevalue(name).locator(".toast-body").all_inner_texts() == []


def size_of(page: Page) -> str:
    assert page.viewport_size is not None
    return "phone" if page.viewport_size["width"] == PHONE[0] else "desk"


def choose(page: Page, model: str) -> None:
    page.get_by_role("radio", name=model).check()
    expect(room(page, model)).to_be_visible()


def room(page: Page, name: str) -> Locator:
    return page.get_by_role("heading", name=re.compile(f"^{re.escape(name)}( |$)"))


def take_the_sample(page: Page) -> None:
    # A picture of another model stays in the field until there is a new one.
    clear(page, "#mq-input")
    page.get_by_role("button", name="Take the sample").click()
    expect(clear_button(page, "#mq-input")).to_be_visible()


def clear_button(page: Page, field: str) -> Locator:
    """Return the button that a field has once it holds something."""
    return page.locator(field).get_by_role("button", name=CLEAR).first


def clear(page: Page, field: str) -> None:
    """Empty a field, if it holds something."""
    button = clear_button(page, field)
    if button.count():
        button.click()
        expect(button).to_be_hidden()


def give(page: Page, field: str, *files: Path) -> None:
    """Choose files, as the browser's dialogue would."""
    clear(page, field)
    page.locator(f"{field} input[type=file]").first.set_input_files(files)
    expect(clear_button(page, field)).to_be_visible()


def ask(page: Page) -> None:
    page.get_by_role("button", name="Ask", exact=True).click()


def details(page: Page) -> Locator:
    return page.locator("#mq-details")


def check_accessible(page: Page) -> None:
    # A button that has just come to life has poor colours for a moment.
    page.wait_for_function(
        "!document.getAnimations().some(one => one instanceof CSSTransition)", timeout=60_000
    )
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert serious == [], [(one["id"], [n["html"] for n in one["nodes"]]) for one in serious]


def check_width(page: Page) -> None:
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window


@pytest.mark.parametrize("model", MODELS)
def test_a_model_answers_its_sample(tried: Page, model: str) -> None:
    choose(tried, model)
    take_the_sample(tried)
    ask(tried)
    expect(tried.locator("#mq-answer").locator(SHOWN[model]).first).to_be_visible()
    expect(details(tried)).to_contain_text(f"{model}/")
    expect(details(tried)).to_contain_text("Where the time went")
    check_accessible(tried)
    check_width(tried)
    keep(tried, f"{model}-{size_of(tried)}")


@pytest.mark.parametrize("model", MODELS)
def test_a_bad_file_is_told_in_the_servers_own_sentence(
    tried: Page, model: str, tmp_path: Path
) -> None:
    bad = tmp_path / ("bad.npy" if model == "smoke" else "bad.jpg")
    bad.write_bytes(b"no picture at all")
    choose(tried, model)
    give(tried, "#mq-input", bad)
    ask(tried)
    expect(details(tried).locator(".mq-problem")).to_contain_text(re.compile(r"4\d\d: \S+ "))
    expect(tried.locator("body")).not_to_contain_text("Traceback")
    expect(tried.get_by_role("button", name="Download the answer")).to_be_disabled()
    keep(tried, f"{model}-bad-{size_of(tried)}")


def test_nothing_chosen_is_told(page: Page) -> None:
    ask(page)
    expect(details(page)).to_contain_text("choose a file first")


def test_the_sliders_of_an_answer_ask_nobody(desk: Page) -> None:
    choose(desk, "smoke")
    take_the_sample(desk)
    ask(desk)
    area = desk.locator(".mq-area")
    expect(area).to_have_text(re.compile(r"^[1-9]\d?\.\d %$"))
    desk.get_by_label("From a probability of").fill("1")
    expect(area).to_have_text(re.compile(r"^\d\.\d %$"))
    choose(desk, "rotifer")
    take_the_sample(desk)
    ask(desk)
    boxes = desk.locator(".mq-detections rect:not([hidden])")
    expect(boxes.first).to_be_visible()
    before = boxes.count()
    boxes.first.hover(force=True)
    expect(desk.locator(".mq-under")).to_have_text(re.compile(r"^\S+ \d+ %$"))
    desk.get_by_label("Only boxes that are at least").fill("1")
    expect(boxes).to_have_count(0)
    assert before > 3
    expect(desk.locator(".mq-detections li b").first).to_have_text("0")


def test_a_parameter_and_a_version_are_asked_for(desk: Page) -> None:
    choose(desk, "cifar")
    take_the_sample(desk)
    desk.get_by_role("spinbutton", name=re.compile("top_k")).first.fill("3")
    desk.keyboard.press("Tab")
    ask(desk)
    expect(details(desk)).to_contain_text("cifar/2.0 answered")
    expect(desk.locator("#mq-answer .mq-bars tr")).to_have_count(3)
    desk.get_by_role("combobox", name="Version").click()
    desk.get_by_role("option", name="1.0").click()
    expect(room(desk, "cifar 1.0")).to_be_visible()
    take_the_sample(desk)
    ask(desk)
    expect(details(desk)).to_contain_text("cifar/1.0 answered")


def test_why_shows_a_heat_map_with_its_method(desk: Page) -> None:
    choose(desk, "inkwash")  # and back, so that the default version is chosen
    choose(desk, "cifar")
    take_the_sample(desk)
    desk.get_by_role("button", name="Why this answer?").click()
    desk.get_by_role("button", name="Explain").click()
    why = desk.locator("#mq-why")
    expect(why.locator(".mq-layer")).to_be_visible()
    for words in ("integrated gradients, 64 steps", "% of the difference", "ship"):
        expect(why).to_contain_text(words)
    check_accessible(desk)
    keep(desk, "why")


def test_several_files_have_an_answer_or_a_problem_each(desk: Page, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture at all")
    array = tmp_path / "array.npy"
    np.save(array, np.full((3, 32, 32), 128, np.uint8))
    files = [ROOT / "handlers" / "cifar" / "example.png", bad, array]
    choose(desk, "inkwash")
    take_the_sample(desk)
    ask(desk)
    expect(desk.locator("#mq-details")).to_contain_text("inkwash/1.0 answered")
    choose(desk, "cifar")
    expect(desk.locator("#mq-answer")).to_contain_text("Nothing was asked yet.")
    expect(desk.locator("#mq-details")).not_to_contain_text("answered")
    desk.get_by_role("button", name="Several files at once").click()
    give(desk, "#mq-files", *files)
    desk.get_by_role("button", name="Ask about all of them").click()
    gallery = desk.locator("#mq-gallery")
    expect(gallery).to_contain_text("3 of 3 files, 1 of them without an answer.")
    lines = gallery.locator("li")
    expect(lines.nth(0)).to_contain_text("ship, 100 %")
    expect(lines.nth(1)).to_contain_text("no image that can be read")
    expect(lines.nth(2)).to_contain_text("%")
    check_accessible(desk)
    keep(desk, "several")


def test_what_is_shown_as_code_works_when_pasted(desk: Page, studio: Studio) -> None:
    choose(desk, "inkwash")
    take_the_sample(desk)
    ask(desk)
    expect(desk.locator(".mq-compare")).to_be_visible()
    desk.get_by_role("tab", name="Code").click()
    check_accessible(desk)
    keep(desk, "code")
    lines, program, script = (code(desk, name) for name in ("curl", "Python", "JavaScript"))
    root = studio.server.project.root
    painting = root / "example-inkwash.jpg"
    run(studio, "bash", "-c", lines)
    with Image.open(painting) as picture:
        assert picture.format == "JPEG"
    painting.unlink()
    (root / "ask.mjs").write_text(script)
    run(studio, node(), "ask.mjs")
    assert painting.read_bytes()[:2] == b"\xff\xd8"
    said = run(studio, "python", "-c", program)
    assert "inkwash/1.0" in said
    assert "JpegImageFile" in said


def node() -> str:
    """Return the Node that Playwright brings."""
    from playwright._impl._driver import compute_driver_executable  # noqa: PLC0415

    program, _ = compute_driver_executable()
    return str(program)


def code(page: Page, name: str) -> str:
    return page.get_by_role("region", name=name, exact=True).locator("pre").inner_text()


def run(studio: Studio, *words: str) -> str:
    """Run a program in the project's folder, as whoever pastes it would."""
    import sys  # noqa: PLC0415

    program = sys.executable if words[0] == "python" else words[0]
    done = subprocess.run(
        [program, *words[1:]],
        cwd=studio.server.project.root,
        env=clean_environment(**studio.server.environment, PYTHONPATH=str(ROOT / "clients/python")),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_answer_can_be_saved(desk: Page) -> None:
    choose(desk, "inkwash")  # whatever was asked of cifar before is gone
    choose(desk, "cifar")
    take_the_sample(desk)
    ask(desk)
    expect(desk.locator(".mq-label")).to_have_text("ship")
    with desk.expect_download() as saved:
        desk.get_by_role("button", name="Download the answer").click()
    assert saved.value.suggested_filename == "example-cifar.json"
    assert json.loads(Path(saved.value.path()).read_text())["label"] == "ship"


def test_a_picture_stays_for_the_next_model(desk: Page, studio: Studio) -> None:
    choose(desk, "cifar")
    choose(desk, "inkwash")
    take_the_sample(desk)
    choose(desk, "cifar")
    ask(desk)
    picture = (ROOT / "handlers" / "inkwash" / "example.jpg").read_bytes()
    with studio.server.client() as client:
        label = client.post("/predictions/cifar", content=picture).json()["label"]
    expect(desk.locator(".mq-label")).to_have_text(label)


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    page.get_by_role("radio", name="cifar").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(room(page, "inkwash")).to_be_visible()
    press(page, "Take the sample")
    expect(clear_button(page, "#mq-input")).to_be_visible()
    press(page, "Ask")
    line = page.locator(".mq-compare input")
    expect(line).to_be_attached()
    line.focus()
    page.keyboard.press("Home")
    expect(page.locator(".mq-compare")).to_have_css("--at", "0%")


def press(page: Page, name: str) -> None:
    """Walk to a button by the Tab key, and press it."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement?.textContent?.trim() ?? ''")
        if focused == name:
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"Tab does not lead to {name!r}")


def test_a_look_that_comes_late_moves_nobody(page: Page) -> None:
    """The page asks now and then what there is: what it asked before a choice is answered after."""
    choose(page, "inkwash")
    held: list[Route] = []
    page.route("**/queue/join*", lambda route: held.append(route), times=1)  # noqa: PLW0108 - Playwright marks it
    while not held:
        page.wait_for_timeout(100)  # for a tick: nothing else is going on
    choose(page, "cifar")
    with page.expect_response("**/queue/join*"):
        held[0].continue_()
    for _ in range(20):  # the next look would bring it back, but not what was in its fields
        page.wait_for_timeout(100)
        assert room(page, "cifar").is_visible()
        assert page.get_by_role("radio", name="cifar").is_checked()
