"""``marquee check``: our models pass, and whatever a handler does is told."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from handlers.runtime.answers import Schema, number, record, words
from marquee.archives import golden
from marquee.archives.digests import file_digest
from marquee.archives.script import ScriptSource, build
from marquee.conformance.check import CheckReport, check, check_archive
from marquee.errors import MarqueeError
from marquee.project import Project
from tests.handlers.script import scripts
from tests.handlers.script.harness import make_folder
from tests.support import make_project, marquee

pytestmark = pytest.mark.slow

MANIFEST = {
    "model": {
        "modelName": "m",
        "modelVersion": "1",
        "handler": "handler.py",
        "configFile": "model-config.yaml",
    }
}
CONFIG = "model-config.yaml"
EXAMPLE = ("example.txt", "a cat sat")


def outcomes(report: CheckReport) -> dict[str, str]:
    return {result.check: result.outcome for result in report.results}


def detail(report: CheckReport, name: str) -> str:
    return next(result.detail for result in report.results if result.check == name)


@pytest.mark.parametrize("model", ["rotifer", "smoke", "timetravel"])
def test_the_detectors_pass(detectors_project: Project, model: str) -> None:
    (report,) = check(detectors_project, f"{model}-1.0")
    assert report.name == f"{model} 1.0"
    assert report.failed == []
    assert len(report.results) == 17


def test_inkwash_passes(project: Project) -> None:
    (report,) = check(project, "inkwash-1.0")
    assert report.failed == []


def test_cifar_passes_and_is_built_aside_when_out_of_date(
    small_project: Project, tmp_path: Path
) -> None:
    changed = Project(tmp_path / "project")
    shutil.copytree(small_project.root, changed.root, copy_function=shutil.copy2)
    handler = changed.handlers / "cifar" / "handler.py"
    handler.write_text(handler.read_text().replace("SIDE = 32\n", 'SIDE = 32\nprint("loud")\n'))
    stored = changed.model_store / "cifar-2.0.mar"
    before = file_digest(stored)
    done = marquee(changed, "check", "cifar", "--json")
    assert done.returncode == 1, done.stderr
    (report,) = json.loads(done.stdout)
    assert report["name"] == "cifar 2.0"
    assert report["ok"] is False
    failed = [result["check"] for result in report["results"] if result["outcome"] != "ok"]
    assert failed == ["silence on stdout"]
    assert file_digest(stored) == before


def handler_archive(path: Path, code: str, *more: tuple[str, str]) -> Path:
    """Write an archive of somebody else's, which knows nothing of marquee."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(MANIFEST))
        archive.writestr("handler.py", code)
        for name, text in {CONFIG: "minWorkers: 1\n", **dict(more)}.items():
            archive.writestr(name, text)
    return path


ECHO = """
def handle(data, context):
    if data is None:
        return None
    return [str(len(str(row.get("body", b"")))) for row in data]
"""


def test_a_foreign_handler_is_checked_as_far_as_it_says(tmp_path: Path) -> None:
    report = check_archive(handler_archive(tmp_path / "m.mar", ECHO, ("example.txt", "abc")))
    found = outcomes(report)
    assert report.failed == []
    assert found["example"] == found["memory"] == found["bad bodies"] == "ok"
    assert found["content types"] == found["golden requests"] == "skipped"
    assert "does not say" in detail(report, "content types")


def test_an_example_that_the_network_refuses_is_no_failure(tmp_path: Path) -> None:
    code = ECHO.replace("return [", "context.set_response_status(422, 'No', 0)\n    return [")
    report = check_archive(handler_archive(tmp_path / "m.mar", code, ("example.txt", "abc")))
    assert report.failed == []
    assert "weights/<model>/example.*" in detail(report, "example")


def test_without_an_example_most_is_skipped(tmp_path: Path) -> None:
    report = check_archive(handler_archive(tmp_path / "m.mar", ECHO))
    assert report.failed == []
    assert detail(report, "example") == "the archive has no example.*"


def test_a_process_that_ends_is_told_and_what_came_before_kept(tmp_path: Path) -> None:
    code = ECHO.replace("return [", "__import__('os')._exit(7)\n    return [")
    report = check_archive(handler_archive(tmp_path / "m.mar", code))
    assert outcomes(report) == {"load": "ok", "description": "failed"}
    assert detail(report, "description") == (
        "its process ended with 7 during this check; the rest was not run"
    )


def test_what_does_not_load_is_told(tmp_path: Path) -> None:
    path = handler_archive(tmp_path / "m.mar", "raise ValueError('no weights')\n")
    report = check_archive(path)
    assert outcomes(report) == {"load": "failed"}
    assert "no weights" in detail(report, "load")
    assert "Traceback" in report.log


def test_an_unsafe_archive_is_not_run(tmp_path: Path) -> None:
    path = handler_archive(tmp_path / "m.mar", ECHO, ("../evil.py", ""))
    with pytest.raises(MarqueeError, match="leads out of the archive"):
        check_archive(path)


AWAITED = """
import asyncio

class Handler:
    def initialize(self, context):
        self.loop = asyncio.get_event_loop()

    async def handle(self, data, context):
        assert asyncio.get_running_loop() is self.loop
        await asyncio.sleep(0)
        return [str(len(str(row.get("body", b"")))) for row in data]
"""
STREAMED = """
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return None
    context.set_response_content_type(0, "text/plain")
    for word in str(data[0].get("body") or "").split():
        send_intermediate_predict_response(
            [word.encode() + b" "], context.request_ids, "Intermediate", 200, context
        )
    return ["end"]
"""


def test_an_asynchronous_handler_is_awaited(tmp_path: Path) -> None:
    asked = (CONFIG, "asyncCommunication: true\n")
    report = check_archive(handler_archive(tmp_path / "m.mar", AWAITED, EXAMPLE, asked))
    assert report.failed == []
    assert detail(report, "example") == "no type, 1 bytes"


def test_a_streamed_answer_is_shown_in_its_pieces(tmp_path: Path) -> None:
    report = check_archive(handler_archive(tmp_path / "m.mar", STREAMED, EXAMPLE))
    assert report.failed == []
    assert detail(report, "example") == "text/plain, 13 bytes in 4 pieces: a | cat | sat | end"


DECLARED = """
import json

ANSWERS = {answers}

class Handler:
    def initialize(self, context):
        pass

    def handle(self, data, context):
        offer = {{"consumes": ["*/*"], "produces": ["application/json"], "parameters": {{}}}}
        said = {{"label": "cat"}} if data[0] else offer | {{"answers": ANSWERS}}
        context.set_response_content_type(0, "application/json")
        return [json.dumps(said)]
"""


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        (record(label=words()), None),
        (
            record(label=number()),
            "not what its 'answers' declares: the answer.label must be",
        ),
        ({"type": "nonsense"}, "what it declares of its answers is no JSON Schema"),
    ],
)
def test_answers_in_json_are_as_declared(
    tmp_path: Path, answers: Schema, problem: str | None
) -> None:
    code = DECLARED.format(answers=answers)
    report = check_archive(handler_archive(tmp_path / "m.mar", code, EXAMPLE))
    assert (outcomes(report)["example"] == "ok") == (problem is None)
    if problem is not None:
        assert detail(report, "example").startswith(problem)


def test_a_script_has_golden_requests_and_passes(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "script")
    example = tmp_path / "numbers.json"
    example.write_text("[[1, 2]]")
    folder = make_folder(tmp_path / "m", scripts.MODEL_ONLY)
    built = build(project, ScriptSource(folder, "halves", example=example))
    (request,) = golden.read(built.path)
    assert request.headers == {"Content-Type": "application/json"}
    assert json.loads(request.expected) == [[0.5, 1.0]]
    done = marquee(project, "check", "halves-1.0")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("halves 1.0\n  ok       load")
    assert "0 of 17 checks failed" in done.stdout


def test_what_is_not_there_is_told(small_project: Project) -> None:
    done = marquee(small_project, "check", "nobody")
    assert done.returncode == 1
    assert "there is no model 'nobody' (the models are: cifar)" in done.stderr
    assert "the model store holds cifar-2.0.mar" in done.stderr
