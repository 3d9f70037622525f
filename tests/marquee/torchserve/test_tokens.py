import json
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.torchserve.tokens import Keys, moment
from tests.support import free_ports


def write_keys(path: Path, minutes: float) -> Keys:
    moment = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    expiry = moment.strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    entry = {"key": "secret01", "expiration time": expiry}
    path.write_text(json.dumps({"inference": entry, "API": {"key": "secret02"}}))
    return Keys(path, f"http://127.0.0.1:{free_ports(1)[0]}")


def test_a_fresh_key_is_read_without_asking_the_server(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "key_file.json", 30)
    assert keys.get("inference") == "secret01"
    assert keys.get("API") == "secret02"


def test_an_old_key_needs_the_server(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="expired and no server answers") as refused:
        write_keys(tmp_path / "key_file.json", 1).get("inference")
    assert "secret" not in str(refused.value)


def test_no_server_and_damaged_files_are_told(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "key_file.json", "http://127.0.0.1:1")
    with pytest.raises(MarqueeError, match="make serve"):
        keys.get("inference")
    keys.path.write_text("{")
    with pytest.raises(MarqueeError, match="damaged"):
        keys.get("inference")


def test_half_a_file_is_read_again(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "key_file.json", 30)
    whole = keys.path.read_text()
    keys.path.write_text(whole[:20])
    rest = threading.Timer(0.2, keys.path.write_text, [whole])
    rest.start()
    assert keys.get("inference") == "secret01"
    rest.join()


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-11-28T11:34:09.659Z", 659000),
        ("2026-11-28T11:34:09Z", 0),
        ("2026-11-28T11:34:09.123456789Z", 123456),
        ("2026-11-28T11:34:09.000001Z", 1),
    ],
)
def test_javas_moments_keep_their_fractions(text: str, microsecond: int) -> None:
    expected = datetime(2026, 11, 28, 11, 34, 9, microsecond, tzinfo=timezone.utc)
    assert moment(text) == expected
