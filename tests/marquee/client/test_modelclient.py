"""Answers of all kinds, from a server that gives what a test wants."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from marquee.cli.main import main
from tests.support import make_project

FAILED = b'{"code": 503, "type": "InternalServerException", "message": "Prediction failed"}'
BUSY = b'{"code": 503, "type": "ServiceUnavailableException", "message": "no worker"}'


class Served:
    """What the server answers, and what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str, bytes]] = []
        self.asked: list[tuple[str, str, bytes]] = []

    def answer(self, path: str, kind: str, body: bytes) -> tuple[int, str, bytes]:
        self.asked.append((path, kind, body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def _body(request: BaseHTTPRequestHandler) -> bytes:
    return request.rfile.read(int(request.headers.get("Content-Length", "0")))


def handler_of(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.path, self.headers.get("Content-Type", ""), _body(self)
            status, kind, body = served.answer(*sent)
            self.send_response(status)
            if kind:
                self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Keep the tests' output clean."""

    return Handler


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server in place of TorchServe, and a project whose address it has."""
    found = Served()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(found))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    project = make_project(tmp_path / "project")
    monkeypatch.setenv("TS_INFERENCE_ADDRESS", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("TS_DISABLE_TOKEN_AUTHORIZATION", "true")
    monkeypatch.chdir(project.root)
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def photo(served: Served) -> Path:
    path = Path("photo.jpg.bak")
    Image.new("RGB", (4, 4)).save(path, "JPEG")
    return path


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, none of which took any time."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


def run(*words: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], input=stdin)


def files() -> list[str]:
    return sorted(path.name for path in Path().glob("*-m*"))


@pytest.mark.parametrize(
    ("verb", "kind"), [("predict", ""), ("explain", ""), ("predict", "application/octet-stream")]
)
@pytest.mark.parametrize(
    "told",
    [
        (b'{"tabby":0.9}', '{\n  "tabby": 0.9\n}\n'),
        (b"a tabby cat", "a tabby cat\n"),
        (b"two\nlines\n", "two\nlines\n"),
        (b"281", "281\n"),
        (b"[" * 30_000, "[" * 30_000 + "\n"),
        (b"", "\n"),
    ],
)
def test_text_without_a_type_is_shown(
    served: Served, photo: Path, verb: str, kind: str, told: tuple[bytes, str]
) -> None:
    body, shown = told
    served.answers = [(200, kind, body)]
    said = run(verb, "m", photo)
    assert (said.exit_code, said.stdout) == (0, shown)
    assert files() == []


def test_text_without_a_type_is_a_line_of_many(served: Served, photo: Path) -> None:
    served.answers = [(200, "", b'{"tabby":0.9}')]
    said = run("predict", "m", photo, photo)
    assert said.stdout == f'{{"file": "{photo}", "answer": {{"tabby": 0.9}}}}\n' * 2


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Path("photo.jpg.bak").read_bytes(), "photo.jpg-m.jpg"),
        (lambda: bytes(range(256)), "photo.jpg-m.bin"),
        (lambda: b"text" * 1000 + b"\0", "photo.jpg-m.bin"),
    ],
)
def test_what_is_no_text_is_saved_by_its_bytes(
    served: Served, photo: Path, make: Callable[[], bytes], name: str
) -> None:
    served.answers = [(200, "", make())]
    said = run("predict", "m", photo)
    assert said.exit_code == 0, said.output
    assert files() == [name]
    assert Path(name).read_bytes() == make()


def test_a_picture_that_is_none_is_saved_all_the_same(served: Served, photo: Path) -> None:
    served.answers = [(200, "image/png", b"no picture")]
    said = run("predict", "m", photo)
    assert (said.exit_code, said.stdout) == (0, "photo.jpg-m.png  10 bytes\n")


def test_the_type_that_is_sent_is_that_of_the_bytes(served: Served, photo: Path) -> None:
    served.answers = [(200, "", b"fine")]
    assert run("predict", "m", photo).exit_code == 0
    assert served.asked == [("/predictions/m", "image/jpeg", photo.read_bytes())]


@pytest.mark.parametrize(
    ("said", "sent"), [("npy", "application/x-npy"), ("image/x-raw", "image/x-raw")]
)
def test_a_type_can_be_said(served: Served, photo: Path, said: str, sent: str) -> None:
    served.answers = [(200, "", b"fine")]
    assert run("predict", "m", photo, "--content-type", said).exit_code == 0
    assert served.asked[0][1] == sent


@pytest.mark.parametrize("option", ["--content-type", "--accept"])
@pytest.mark.parametrize("value", ["image/pñg", "a/b\nX: y", "a/b\r"])
def test_a_type_that_no_header_can_hold_is_told(
    served: Served, photo: Path, option: str, value: str
) -> None:
    said = run("predict", "m", photo, option, value)
    assert said.exit_code == 1
    assert "is not plain ASCII, which a header needs" in said.stderr
    assert served.asked == []


@pytest.mark.parametrize("pair", ["top k=1", "a:b=1", "k\u00e9y=1"])
def test_a_parameter_that_no_header_can_name_is_told(
    served: Served, photo: Path, pair: str
) -> None:
    said = run("predict", "m", photo, "--param", pair)
    assert said.exit_code == 1
    assert "is not plain ASCII, which a header needs" in said.stderr


def test_standard_input_is_a_file_too(served: Served, photo: Path, pauses: list[float]) -> None:
    sent = photo.read_bytes()
    served.answers = [(503, "application/json", BUSY), (200, "image/jpeg", sent)]
    said = run("predict", "m", "-", stdin=sent)
    assert said.exit_code == 0, said.output
    assert served.asked == [("/predictions/m", "image/jpeg", sent)] * 2
    assert files() == ["stdin-m.jpg"]


def test_a_pipe_is_sent_whole_and_again(served: Served, photo: Path, pauses: list[float]) -> None:
    sent = photo.read_bytes()
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_bytes, args=(sent,))
    writer.start()
    served.answers = [(503, "application/json", BUSY), (200, "", b"fine")]
    said = run("predict", "m", "pipe")
    writer.join()
    assert said.exit_code == 0, said.output
    assert [body for _, _, body in served.asked] == [sent, sent]


def test_a_pipe_that_never_ends_is_given_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TS_MAX_REQUEST_SIZE", "5000000")
    said = run("predict", "m", "/dev/zero")
    assert said.exit_code == 1
    assert said.stderr == (
        "Error: /dev/zero: it gives more than the 5000000 bytes that the server takes\n"
    )


@pytest.mark.parametrize(("retries", "times"), [("6", 3), ("1", 2), ("0", 1)])
def test_a_handler_that_fails_is_not_asked_for_long(
    served: Served, photo: Path, pauses: list[float], retries: str, times: int
) -> None:
    served.answers = [(503, "application/json", FAILED)]
    said = run("predict", "m", photo, "--retries", retries)
    assert said.exit_code == 1
    assert said.stderr == (
        f"Error: {photo}: 503 Prediction failed: the handler raised an error, or returned what "
        "TorchServe cannot send; 'marquee logs m' tells why\n"
    )
    assert len(served.asked) == times
    assert sum(pauses) < 2.5


def test_a_handler_whose_batch_was_spoilt_is_asked_again(
    served: Served, photo: Path, pauses: list[float]
) -> None:
    served.answers = [(503, "application/json", FAILED), (200, "", b"fine")]
    assert run("predict", "m", photo).stdout == "fine\n"


def test_a_busy_server_is_asked_as_often_as_wanted(
    served: Served, photo: Path, pauses: list[float]
) -> None:
    served.answers = [(503, "application/json", BUSY)]
    assert run("predict", "m", photo, "--retries", "5").exit_code == 1
    assert len(served.asked) == 6


def test_a_worker_that_died_points_to_the_log(served: Served, photo: Path) -> None:
    served.answers = [(500, "", FAILED.replace(b"503", b"500").replace(b"Pred", b"Worker died"))]
    assert "'marquee logs m' tells why" in run("predict", "m", photo).stderr
