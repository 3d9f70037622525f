"""`marquee predict` and `explain` against a running server, as a user calls them."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from marquee.cli.main import main
from marquee.client.predict import predict
from marquee.errors import MarqueeError
from marquee.project import Project
from tests.server.faulty.model import FAULTS
from tests.support import BIN, ROOT, Running, make_project

SHIP = ROOT / "handlers" / "cifar" / "example.png"
PHOTO = ROOT / "handlers" / "inkwash" / "example.jpg"


@pytest.fixture
def folder(
    server: Running, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder inside the served project, with the server's environment: a user's shell."""
    made = server.project.root / tmp_path_factory.mktemp("shell").name
    made.mkdir()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(made)
    return made


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def faulty(folder: Path, fault: str) -> Path:
    path = folder / f"{fault.replace(' ', '-')}.png"
    Image.new("RGB", (4, 4), (FAULTS[fault], 0, 0)).save(path)
    return path


def test_one_file_is_answered_with_pretty_json(folder: Path) -> None:
    said = run("predict", "cifar", SHIP, "--param", "top_k=2")
    assert said.exit_code == 0
    assert said.stderr == ""
    assert said.stdout.startswith('{\n  "label": "ship",\n')
    assert len(json.loads(said.stdout)["probabilities"]) == 2


def test_many_files_are_answered_a_line_each_in_their_order(folder: Path) -> None:
    names = [f"{number:03}.png" for number in range(30)]
    for name in names:
        shutil.copy(SHIP, folder / name)
    said = run("predict", "cifar", *names, "--jobs", "8", "--version", "1.0")
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert [line["file"] for line in lines] == names
    assert {line["answer"]["label"] for line in lines} == {"ship"}


def test_a_picture_is_saved_by_the_suffix_of_its_name(folder: Path) -> None:
    said = run("predict", "inkwash", PHOTO, "-o", "painting.jpg")
    with Image.open("painting.jpg") as found, Image.open(PHOTO) as photo:
        assert found.format == "JPEG"
        assert found.width / found.height == pytest.approx(photo.width / photo.height, rel=0.05)
        size = f"{found.width} x {found.height} pixels"
    assert said.stdout == f"painting.jpg  {Path('painting.jpg').stat().st_size} bytes, {size}\n"


def test_pictures_without_a_name_get_one_each(folder: Path) -> None:
    for _ in range(2):
        assert run("predict", "inkwash", PHOTO, "--accept", "png").exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "example-inkwash-2.png",
        "example-inkwash.png",
    ]


def test_arrays_go_in_and_come_out(folder: Path) -> None:
    with Image.open(SHIP) as image:
        planes = np.asarray(image.convert("RGB").resize((32, 32)))
        np.save("ship.npy", planes.transpose(2, 0, 1))
    said = run("predict", "cifar", "ship.npy", "--accept", "npy")
    assert "float32 1 x 10" in said.stdout
    assert np.load("ship-cifar.npy").shape == (1, 10)


def test_a_json_file_is_sent_as_json(folder: Path) -> None:
    Path("zero.json").write_text(json.dumps({"instances": [[[[0] * 32] * 32] * 3]}))
    said = run("predict", "cifar", "zero.json")
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)


def test_an_explanation_has_its_own_name(folder: Path) -> None:
    said = run("explain", "cifar", SHIP, "--method", "grad_cam", "--target", "ship")
    assert said.stdout.startswith("example-cifar-explained.png  ")
    shown = run("explain", "cifar", SHIP, "--steps", "8", "--accept", "json")
    assert json.loads(shown.stdout)["steps"] == 8


def test_a_bad_file_does_not_stop_the_others(folder: Path) -> None:
    (folder / "text.png").write_text("no image")
    (folder / "locked").mkdir()
    said = run("predict", "cifar", "gone.png", SHIP, "text.png", "locked")
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert said.exit_code == 1
    assert [line.get("status", "fine") for line in lines] == [None, "fine", 400, None]
    assert "3 of 4 files have no answer" in said.stderr
    assert "gone.png: No such file or directory" in said.stderr
    assert "text.png: 400 the 8 bytes are no image" in said.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nope", SHIP], "there is no model 'nope' on this server; it has cifar, faulty, inkwash"),
        (["../x", SHIP], "there is no model '../x' on this server; it has cifar, faulty, inkwash"),
        (["cifar", SHIP, "--version", "7"], "cifar has no version 7 on this server; it has 1.0"),
        (["cifar", "gone.png"], "gone.png: No such file or directory"),
        (["cifar", SHIP, "--param", "k=1"], "400 unknown parameter 'k'; this model knows top_k"),
        (["cifar", SHIP, "--accept", "text/html"], "406 cannot answer in 'text/html'"),
        (["cifar", SHIP, "--param", "top_k=\u00e4"], "is not plain ASCII"),
        (["cifar", SHIP, SHIP, "-o", "x.json"], "-o x.json is one file for the answers to 2"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(
    folder: Path, words: list[str | Path], told: str
) -> None:
    said = run("predict", *words)
    assert said.exit_code == 1
    assert said.stdout == ""
    assert told in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_a_failure_of_ours_names_the_request_whose_story_the_logs_tell(folder: Path) -> None:
    said = run("predict", "faulty", faulty(folder, "raise in postprocess"))
    assert said.exit_code == 1
    request = said.stderr.rpartition("(request ")[2].strip(")\n")
    deadline = time.monotonic() + 10
    while "LookupError: told to" not in (story := run("logs", "--request", request).stdout):
        assert time.monotonic() < deadline, story
        time.sleep(0.2)
    assert f"request {request} failed" in story
    assert len({line.split()[3] for line in story.splitlines()}) == 1


def test_a_retired_version_is_asked_again_until_it_is_back(folder: Path, server: Running) -> None:
    def workers(count: int) -> None:
        with server.management() as api:
            path = f"/models/inkwash/91.0?min_worker={count}&max_worker={count}"
            assert api.put(path).status_code < 300

    workers(0)
    deadline = time.monotonic() + 10
    while "retired" not in (listed := run("models").stdout):
        assert time.monotonic() < deadline, listed
        time.sleep(0.2)
    refused = run("predict", "inkwash", PHOTO, "--version", "91.0", "--retries", "0")
    assert "503" in refused.stderr
    threading.Timer(1, workers, [1]).start()
    said = run("predict", "inkwash", PHOTO, "--version", "91.0", "-o", "x.png", "--retries", "9")
    assert said.exit_code == 0, said.output


def test_a_server_that_takes_too_long(folder: Path) -> None:
    said = run("predict", "faulty", faulty(folder, "slow"), "--timeout", "0.2")
    assert said.exit_code == 1
    assert "no answer within 0.2 s (--timeout)" in said.stderr


def test_a_file_over_the_servers_limit(folder: Path) -> None:
    with (folder / "huge.png").open("wb") as file:
        file.truncate(110 << 20)
    said = run("predict", "cifar", "huge.png", "--retries", "0")
    assert said.exit_code == 1
    assert "it has 115343360 bytes, the server takes 104857600 (max_request_size)" in said.stderr


# Tests that run in the background inherit that SIGINT is ignored.
HEEDS_CTRL_C = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def test_ctrl_c_ends_it_at_once_and_leaves_no_half_files(folder: Path) -> None:
    files = [str(faulty(folder, "slow"))] * 40
    words = ["predict", "faulty", *files, "-o", "out/"]
    command = subprocess.Popen(
        [sys.executable, "-c", HEEDS_CTRL_C, BIN / "marquee", *words],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (folder / "out").is_dir() or not any((folder / "out").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    start = time.monotonic()
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=20)
    assert command.returncode == 130
    assert said == "Stopped; files without an answer so far have none.\n"
    assert time.monotonic() - start < 5
    assert not list((folder / "out").glob(".*"))


def test_no_server_is_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_project(tmp_path / "idle").root)
    said = run("predict", "cifar", SHIP)
    assert said.exit_code == 1
    assert said.stderr.startswith("Error: no server of this project runs")
    assert "make serve" in said.stderr


def test_a_server_that_has_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TS_INFERENCE_ADDRESS", "http://127.0.0.1:9")
    said = run("predict", "cifar", SHIP)
    assert said.exit_code == 1
    assert "no server answers at http://127.0.0.1:9" in said.stderr


def test_keys_that_others_renew_meanwhile_cost_no_file(folder: Path, server: Running) -> None:
    def renew() -> None:
        keys = server.keys
        api = {"Authorization": f"Bearer {keys.get('API')}"}
        address = f"{keys.management_address}/token?type=inference"
        assert httpx.get(address, headers=api, trust_env=False).status_code == 200

    answers = predict(Project.find(), "faulty", [faulty(folder, "none")] * 12, jobs=2)
    problems = []
    for answer in answers:
        problems.append(answer.problem)
        renew()
    assert problems == [None] * 12


def test_a_key_that_stays_void_is_told_at_once(folder: Path, tmp_path: Path) -> None:
    copy = make_project(tmp_path / "copy")
    keys = json.loads(Project.find().key_file.read_text())
    keys["inference"]["key"] = "void"
    copy.key_file.write_text(json.dumps(keys))
    (answer,) = predict(copy, "cifar", [SHIP])
    assert answer.status == 400
    assert "Token Authorization failed" in str(answer.problem)


def test_python_raises_what_the_command_prints(folder: Path) -> None:
    with pytest.raises(MarqueeError, match="no model 'nope'"):
        next(predict(Project.find(), "nope", [SHIP]))
