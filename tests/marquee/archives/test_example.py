"""What an archive's model is asked: its first good golden request, or its example."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from marquee.archives import golden
from marquee.archives.golden import example_of
from marquee.errors import MarqueeError


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    def make(**entries: bytes) -> Path:
        path = tmp_path / "m.mar"
        with zipfile.ZipFile(path, "w") as made:
            for name, content in entries.items():
                made.writestr(name.replace("__", "/").replace("_", "."), content)
        return path

    return make


def test_the_example_is_the_first_golden_request(archive: Callable[..., Path]) -> None:
    headers = {"Accept": "image/png"}
    good = golden.GoldenEntry("a", headers, "golden/a.bin", 200, "image/png", "golden/b.bin", 1.0)
    index = golden.index_text([replace(good, status=400), good]).encode()
    found = example_of(archive(golden__requests_json=index, golden__a_bin=b"x", example_png=b"y"))
    assert found is not None
    assert (found.body, found.headers) == (b"x", {"Accept": "image/png"})


def test_an_archive_without_golden_requests_has_its_example(archive: Callable[..., Path]) -> None:
    found = example_of(archive(example_json=b"{}"))
    assert found is not None
    assert (found.body, found.headers) == (b"{}", {"Content-Type": "application/json"})


def test_the_examples_type_may_be_stated(archive: Callable[..., Path]) -> None:
    config = b"marquee:\n  options: {example_type: application/x-image}\n"
    found = example_of(archive(**{"example.bin": b"x", "model-config.yaml": config}))
    assert found is not None
    assert found.headers == {"Content-Type": "application/x-image"}
    for other in (b"marquee: 7", b"marquee: {options: {example_type: 7}}"):
        found = example_of(archive(**{"example.bin": b"x", "model-config.yaml": other}))
        assert found is not None
        assert found.headers == {"Content-Type": "application/octet-stream"}
    for unfit in (b"{", b"[]", b""):  # with none of these TorchServe starts
        with pytest.raises(MarqueeError, match=r"'model-config\.yaml' is no YAML"):
            example_of(archive(**{"example.bin": b"x", "model-config.yaml": unfit}))


def test_an_archive_without_any_has_none(archive: Callable[..., Path], tmp_path: Path) -> None:
    assert example_of(archive(handler_py=b"")) is None
    assert example_of(tmp_path / "missing.mar") is None


def test_damaged_golden_requests_are_told(archive: Callable[..., Path]) -> None:
    with pytest.raises(MarqueeError, match="build the archive again"):
        example_of(archive(golden__requests_json=b"[]"))
