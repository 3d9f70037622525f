"""A studio of a server that is known by its address, and goes away; and a shared one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from marquee.openapi.document import document
from marquee.openapi.served import Offer, Served
from tests.studio.conftest import DESKTOP, Studio, keep, opened, visit
from tests.support import Running, free_ports

TOKEN = "a-token-that-no-page-may-show"
SAID = {
    "consumes": ["image/*"],
    "produces": ["application/json"],
    "parameters": {
        "type": "object",
        "properties": {"top_k": {"type": "integer", "minimum": 1, "maximum": 5, "default": 5}},
    },
    "explanations": None,
    "shows": "classes",
}


class Door(BaseHTTPRequestHandler):
    """A front door with two models: one that says what it is, and one that says nothing."""

    def do_GET(self) -> None:
        """Answer with the OpenAPI document."""
        offers = (Offer("animals", "3.1", True, SAID), Offer("silent", "1.0", True, {}))
        served = Served(offers, front=True, secured=True, max_request_size=1000)
        self._answer(document(served))

    def do_POST(self) -> None:
        """Answer with classes, or with JSON of its own."""
        self.rfile.read(int(self.headers["Content-Length"]))
        classes = {"probabilities": {"cat": 0.75, "dog": 0.25}}
        self._answer(classes if "animals" in self.path else {"any": ["thing", 1]})

    def _answer(self, value: object) -> None:
        allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
        body = json.dumps(value if allowed else {"code": 401, "message": "no key"}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def door(port: int) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", port), Door) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_a_server_may_go_away_and_come_back(
    browser: Browser, served: Running, studio: Studio
) -> None:
    (port,) = free_ports(1)
    words = ["--url", f"http://127.0.0.1:{port}/", "--port", "0"]
    with (
        opened(served, *words, MARQUEE_TOKEN=TOKEN) as address,
        visit(browser, Studio(address, served), DESKTOP) as page,
    ):
        status = page.locator("#mq-server")
        expect(status).to_contain_text("No server answers")
        keep(page, "away")
        with door(port):
            expect(status).to_contain_text("2 models")
            expect(page.get_by_role("heading", name="animals 3.1")).to_be_visible()
            give_a_picture(page)
            page.get_by_role("button", name="Ask", exact=True).click()
            expect(page.locator(".mq-label")).to_have_text("cat")
            assert TOKEN not in page.content()
        expect(status).to_contain_text("No server answers")
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.locator("#mq-details")).to_contain_text("no server answers at")
        keep(page, "away-again")
        with door(port):
            expect(status).to_contain_text("2 models")
            page.get_by_role("button", name="Ask", exact=True).click()
            expect(page.locator(".mq-label")).to_have_text("cat")
            page.get_by_role("radio", name="silent").check()
            expect(page.get_by_role("heading", name="silent 1.0")).to_be_visible()
            give_a_file(page)
            page.get_by_role("button", name="Ask", exact=True).click()
            expect(page.locator("#mq-answer pre")).to_contain_text('"any"')
            keep(page, "silent")


def give_a_picture(page: Page) -> None:
    give(page, "picture.png", "image/png")


def give_a_file(page: Page) -> None:
    give(page, "anything.bin", "application/octet-stream")


def give(page: Page, name: str, kind: str) -> None:
    file = FilePayload(name=name, mimeType=kind, buffer=b"anything")
    page.locator("#mq-input input[type=file]").first.set_input_files(file)
    button = page.locator("#mq-input").get_by_role("button", name=re.compile("Clear|Remove"))
    expect(button.first).to_be_visible()


@pytest.mark.server
def test_a_shared_studio_asks_for_its_password(served: Running) -> None:
    words = ["--share-on-lan", "--port", "0"]
    with opened(served, *words, MARQUEE_STUDIO_PASSWORD="open sesame") as address:
        port = address.rpartition(":")[2]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            assert client.get("/config").status_code == 401
            wrong = {"username": "marquee", "password": "guessed"}
            assert client.post("/login", data=wrong).status_code == 400
            right = {"username": "marquee", "password": "open sesame"}
            assert client.post("/login", data=right).status_code == 200
            assert client.get("/config").status_code == 200


def test_files_of_the_project_and_other_names_of_this_machine_are_no_way_in(studio: Studio) -> None:
    key_file = studio.server.project.key_file
    with httpx.Client(base_url=studio.address, trust_env=False) as client:
        assert key_file.exists()
        assert client.get(f"/gradio_api/file={key_file}").status_code == 403
        assert client.get("/", headers={"Host": "elsewhere.example"}).status_code == 400
        answer = client.get("/")
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        for secret in (studio.server.keys.get("inference"), studio.server.keys.get("management")):
            assert secret not in answer.text
            assert secret not in client.get("/config").text
