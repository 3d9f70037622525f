from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.versions import journal


@pytest.mark.parametrize("name", ["../../elsewhere", "a/b", "", "a b", "\0", "a" * 161])
def test_no_name_leads_out_of_the_state(tmp_path: Path, name: str) -> None:
    project = Project(tmp_path / "project")
    with pytest.raises(MarqueeError, match="the name is"), journal.locked(project, name):
        pass
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_models_own_name_does(tmp_path: Path) -> None:
    with journal.locked(Project(tmp_path), "my-net_2.0"):
        assert journal.unfinished(Project(tmp_path), "my-net_2.0") is None
