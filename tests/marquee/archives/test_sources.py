from pathlib import Path

import pytest

from marquee.archives.sources import needed
from marquee.errors import MarqueeError
from tests.support import ROOT

HANDLERS = ROOT / "handlers"


def test_an_archive_gets_its_room_and_the_runtime_only() -> None:
    files = needed(ROOT, HANDLERS / "cifar" / "handler.py")
    names = {path.relative_to(HANDLERS).as_posix() for path in files.values()}
    assert {"__init__.py", "cifar/__init__.py", "cifar/model.py", "runtime/handler.py"} <= names
    assert not [name for name in names if name.startswith(("inkwash", "cifar/demo", "cifar/train"))]


def write(root: Path, name: str, text: str) -> Path:
    path = root / "handlers" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_imports_are_followed_in_all_their_forms(tmp_path: Path) -> None:
    handler = write(tmp_path, "a/handler.py", "import handlers.a.b\nfrom handlers.a import c\n")
    write(tmp_path, "a/__init__.py", "")
    write(tmp_path, "a/b.py", "def late():\n    from handlers.a.d import x\n")
    write(tmp_path, "a/c.py", "")
    write(tmp_path, "a/d.py", "import handlers.a.b\n")
    write(tmp_path, "a/unused.py", "")
    names = [path.name for path in needed(tmp_path, handler).values()]
    assert names == ["__init__.py", "b.py", "c.py", "d.py"]


@pytest.mark.parametrize(
    ("text", "words"), [("from . import b", "line 1: relative import"), ("def", "line 1")]
)
def test_what_would_not_work_in_an_archive_is_refused(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(MarqueeError, match=words):
        needed(tmp_path, write(tmp_path, "a/handler.py", text))
