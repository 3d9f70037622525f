"""The same scripts and requests through AWS's published toolkit and through ours."""

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.handlers.script import scripts
from tests.handlers.script.harness import (
    CSV,
    JSON,
    NPY,
    Call,
    make_folder,
    ours,
    theirs,
)


def npy(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array))
    return stream.getvalue()


def picture(mode: str = "RGB", size: tuple[int, int] = (20, 16), kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(stream, kind)
    return stream.getvalue()


def torch_file(value: object) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def traced(module: torch.nn.Module, example: torch.Tensor) -> bytes:
    stream = io.BytesIO()
    with pytest.warns(FutureWarning, match="deprecated"):
        torch.jit.save(torch.jit.trace(module, example), stream)
    return stream.getvalue()


def assert_same(folder: Path, calls: list[Call]) -> None:
    """All calls succeed, as one batch here and one by one there, with the same answers."""
    expected = [reply.essence for reply in theirs(folder, calls)]
    assert {status for status, _, _ in expected} == {200}
    assert [reply.essence for reply in ours(folder, calls)] == expected


def assert_same_status(folder: Path, calls: list[Call], statuses: list[int]) -> None:
    assert [reply.status for reply in theirs(folder, calls)] == statuses
    assert [reply.status for reply in ours(folder, calls)] == statuses


def test_painter(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = torch_file(torch.nn.Conv2d(3, 3, 1).state_dict())
    folder = make_folder(tmp_path / "m", scripts.PAINTER, latest_net_G__pth=weights)
    assert_same(
        folder,
        [
            Call(picture(), "image/png"),
            Call(picture("L", kind="JPEG"), "image/jpeg", "*/*"),
            Call(picture("P"), "image/*", JSON),
            Call(picture("RGBA"), None),
        ],
    )
    assert_same_status(folder, [Call("{}", JSON), Call(b"no image", "image/png")], [500, 500])


def test_classifier(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.CLASSIFIER)
    random = np.random.default_rng(5)
    bodies = [random.integers(0, 256, 3072, dtype=np.uint8).tobytes() for _ in range(5)]
    bodies += [bytes(3072), bytes([255]) * 3072]
    assert_same(folder, [Call(body, NPY) for body in bodies])
    assert_same_status(folder, [Call("[[1]]", JSON), Call(b"short", NPY)], [500, 500])


def test_transform_fn(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.TRANSFORM)
    calls = [
        Call("[1, 2]", JSON),
        Call("[3]", JSON, "application/vnd.x+json"),
        Call(b"\x01\x02", "application/octet-stream", "*/*"),
        Call(b"\x07", None),
    ]
    assert_same(folder, calls)


DEFAULT_CALLS = [
    Call("[[1, 2], [3, 4.5]]", JSON),
    Call("[1, 2, 3]", JSON, CSV),
    Call("1,2,3\n4,5,6", CSV),
    Call("1.5,2.5", CSV, CSV),
    Call(npy(np.arange(6, dtype=np.float32).reshape(2, 3)), NPY, NPY),
    Call(npy(np.arange(6, dtype=np.float64)), NPY),
    Call(npy(np.arange(6, dtype=np.uint8)), NPY, CSV),
    Call(npy([[1, 2]]), NPY, "*/*"),
]


def test_model_fn_with_defaults(tmp_path: Path) -> None:
    assert_same(make_folder(tmp_path / "m", scripts.MODEL_ONLY), DEFAULT_CALLS)


@pytest.mark.parametrize("name", ["model__pt", "model__pth", "anything__pth"])
def test_torchscript_without_a_script(tmp_path: Path, name: str) -> None:
    linear = torch.nn.Linear(3, 2)
    # Eighths, times small whole numbers: exact in any order, in a batch and alone, everywhere.
    linear.load_state_dict(
        {"weight": torch.tensor([[0.125, -2, 3], [1.5, 0, -0.25]]), "bias": torch.tensor([0.5, 1])}
    )
    model = traced(linear, torch.zeros(1, 3))
    folder = make_folder(tmp_path / "m", None, **{name: model})
    assert_same(
        folder,
        [Call("[[1, 2, 3]]", JSON), Call("1,2,3", CSV), Call(npy(np.ones((1, 3), "f4")), NPY, NPY)],
    )


def test_tuple_answers(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.TUPLE)
    graymap = "image/x-portable-graymap"
    assert_same(folder, [Call("x", "text/plain"), Call("x", JSON, graymap), Call("x", JSON, JSON)])


def test_a_scripts_own_4xx(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.REFUSER)
    calls = [Call("bad"), Call("faceless"), Call("good"), Call("broken")]
    assert_same_status(folder, calls, [400, 422, 200, 500])
    reference, replies = theirs(folder, calls), ours(folder, calls)
    for their, our in zip(reference[:2], replies[:2], strict=True):
        told = json.loads(our.body)
        assert told["code"] == their.status
        assert their.body.decode().startswith(told["message"])
        assert b"Traceback" in their.body
        assert b"Traceback" not in our.body
    assert [reply.phrase.split() for reply in reference[1:2] if reply.phrase] == [["No", "face"]]
    assert replies[1].phrase == "No face"
    assert replies[2].essence == reference[2].essence
    assert b"secret" in reference[3].body
    assert b"secret" not in replies[3].body


def test_crashes(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.CRASHER)
    assert_same(folder, [Call("fine")])
    assert_same_status(folder, [Call("raise"), Call("fine")], [500, 200])


def test_a_script_that_prints(tmp_path: Path) -> None:
    assert_same(make_folder(tmp_path / "m", scripts.TALKER), [Call("x"), Call("y")])


def test_functions_with_context(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.WITH_CONTEXT)
    calls = [Call("x", headers={"X-Name": name}) for name in ("ann", "bob", "cy")]
    expected, replies = theirs(folder, calls), ours(folder, calls)
    assert [json.loads(r.body) for r in replies] == [["ann"] * 3, ["bob"] * 3, ["cy"] * 3]
    assert [r.essence for r in replies] == [r.essence for r in expected]
    assert [(r.status, r.phrase, r.headers["X-Seen"]) for r in expected] == [
        (202, "Taken", name) for name in ("ann", "bob", "cy")
    ]
    assert [(r.status, r.phrase, r.headers["x-seen"]) for r in replies] == [
        (202, "Taken", name) for name in ("ann", "bob", "cy")
    ]


def test_global_variables_between_functions(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.FORGETFUL)
    calls = [Call("x" * n, "text/plain") for n in (3, 1, 7)]
    assert_same(folder, calls)
    assert [reply.body for reply in ours(folder, calls)] == [b"3", b"1", b"7"]


def test_hooks_helpers_and_relative_files(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.HOOKS, labels__json=b'["plane", "car"]')
    (folder / "code" / "helpers.py").write_text("def greet():\n    return 'hello'\n")
    assert_same(folder, [Call("x")])
    told = json.loads(ours(folder, [Call("x")])[0].body)
    assert told == {
        "calls": ["pre_model_fn", "model_fn", "model_warmup_fn"],
        "greeting": "hello",
        "model": ["car", "code", "labels.json", "plane"],
    }


def test_the_toolkits_decoder_and_encoder(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.CODED)
    assert_same(
        folder,
        [Call("[1, 2]", JSON), Call("1,2\n3,4", CSV, CSV), Call(npy([[1.5]]), NPY, NPY)],
    )


def test_what_the_toolkit_unpickles_is_never_unpickled_here(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.CODED)
    victim = tmp_path / "pwned"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (victim,)

    stream = io.BytesIO()
    np.save(stream, np.array([Evil()], dtype=object), allow_pickle=True)
    assert pickle.dumps(Evil())
    assert ours(folder, [Call(stream.getvalue(), NPY)])[0].status == 400
    assert not victim.exists()
    theirs(folder, [Call(stream.getvalue(), NPY)])
    assert victim.exists(), "the attack works where nothing stops it"
