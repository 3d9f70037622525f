"""What is asked: folders, globs, lists, columns of tables, prefixes of S3."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto import mock_aws

from marquee.bulk import inputs, s3
from marquee.bulk.items import Item, read
from marquee.errors import MarqueeError

BUCKET = "pictures-bucket"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the current one, with files."""
    for name in ("a.png", "b.jpg", "sub/c.png", "sub/deep/d.png", ".git/e.png", "sub/.f.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An emulated S3 with a bucket of pictures."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        s3._client.cache_clear()
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        for key in ("in/", "in/a.png", "in/sub/b.png", "in/c.txt", "in/.d.png", "other/e.png"):
            client.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
        yield
    s3._client.cache_clear()


def names(named: str, aside: str = "out") -> list[str]:
    return sorted(item.name for item in inputs.find(named, Path(aside))())


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (".", ["a.png", "b.jpg", "sub/c.png", "sub/deep/d.png"]),
        ("sub", ["c.png", "deep/d.png"]),
        ("*.png", ["a.png"]),
        ("**/*.png", ["a.png", "sub/c.png", "sub/deep/d.png"]),
        ("sub/*", ["c.png"]),
        ("s?b/[cd].png", ["sub/c.png"]),
        ("s*/**/d.png", ["sub/deep/d.png"]),
        ("no*", []),
    ],
)
def test_files_of_folders_and_globs(tree: Path, named: str, found: list[str]) -> None:
    assert names(named) == found


def test_the_folder_of_the_results_is_passed_over(tree: Path) -> None:
    assert names(".", "sub") == ["a.png", "b.jpg"]
    assert names("**/*.png", "sub/deep") == ["a.png", "sub/c.png"]


@pytest.mark.parametrize("named", [".", "**/*.png"])
def test_a_link_back_up_has_no_end_and_is_not_followed(tree: Path, named: str) -> None:
    before = names(named)
    (tree / "sub" / "up").symlink_to(tree)
    assert names(named) == before


def test_a_linked_folder_is_looked_into(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "far.png").write_bytes(b"x")
    (tree / "sub" / "linked").symlink_to(elsewhere)
    assert "linked/far.png" in names("sub")


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are Unicode")
def test_a_name_that_is_no_text_is_read_as_well(tree: Path) -> None:
    (tree / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    (item,) = (one for one in inputs.find(".", tree / "out")() if "\udcff" in one.name)
    assert read(item, 10).data == b"x"


def test_a_list_has_a_path_or_an_address_on_each_line(tree: Path) -> None:
    (tree / "list.txt").write_bytes(b"a.png\r\n\n/etc/x y.png\ns3://b/k\n\xff.png\n")
    found = [*inputs.find("list.txt", tree / "out")()]
    assert [item.path for item in found[:3]] == [str(tree / "a.png"), "/etc/x y.png", "s3://b/k"]
    assert os.fsencode(found[3].name) == b"\xff.png"


def test_what_is_no_file_is_not_read(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    assert read(Item("pipe", str(tree / "pipe")), 10).problem == "it is no file"
    assert "null" in str(read(Item("x", "x\0y"), 10).problem)


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        (
            [b"one", None, b"two"],
            pa.binary(),
            [("row 1", b"one"), ("row 2", None), ("row 3", b"two")],
        ),
        ([b"one"], pa.large_binary(), [("row 1", b"one")]),
        (["a.png", "b.jpg"], pa.string(), [("a.png", b"x"), ("b.jpg", b"x")]),
    ],
)
def test_a_column_holds_bytes_or_paths(
    tree: Path, values: list[object], kind: pa.DataType, found: list[tuple[str, bytes | None]]
) -> None:
    pq.write_table(
        pa.table({"image": pa.array(values, kind), "n": range(len(values))}), "t.parquet"
    )
    items = [read(item, 10) for item in inputs.find("t.parquet:image", tree / "out")()]
    assert [(item.name, item.data) for item in items] == found


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("t.parquet", "t.parquet: say which column, as in t.parquet:COLUMN; it has n"),
        ("t.parquet:m", "t.parquet: it has no column 'm', as in t.parquet:COLUMN; it has n"),
        ("t.parquet:n", "the column 'n' holds int64; expected bytes (binary), or paths (string)"),
        ("broken.parquet:n", "broken.parquet is no parquet file, or damaged"),
        ("no.parquet:n", "there is no file no.parquet"),
        ("a.png", "a.png is a file of its own; expected a folder, a glob in quotes"),
        ("nothing", "there is no nothing; expected a folder"),
        ("s3://B/x", "INPUT is 's3://B/x'; expected s3://BUCKET/PATH"),
    ],
)
def test_what_is_none_of_these_is_told(tree: Path, named: str, told: str) -> None:
    pq.write_table(pa.table({"n": [1]}), "t.parquet")
    (tree / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(MarqueeError) as raised:
        [*inputs.find(named, tree / "out")()]
    assert told in str(raised.value)


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("in/", ["in/a.png", "in/c.txt", "in/sub/b.png"]),
        ("", ["in/a.png", "in/c.txt", "in/sub/b.png", "other/e.png"]),
        ("in/**/*.png", ["in/a.png", "in/sub/b.png"]),
        ("*/*.png", ["in/a.png", "other/e.png"]),
    ],
)
def test_objects_of_a_bucket(prefix: str, found: list[str]) -> None:
    listed = [*inputs.find(f"s3://{BUCKET}/{prefix}", Path("out"))()]
    assert [item.name for item in listed] == found
    assert read(listed[0], 100).data == b"in/a.png"
    assert "it has 8 bytes, at most 7 are taken" in str(read(listed[0], 7).problem)


@pytest.mark.usefixtures("bucket")
def test_what_s3_refuses_is_told() -> None:
    with pytest.raises(MarqueeError, match="listing s3://no-such-bucket/ was refused .*; name ano"):
        [*inputs.find("s3://no-such-bucket", Path("out"))()]
    gone = read(Item("x", f"s3://{BUCKET}/gone.png"), 10)
    assert "was refused (NoSuchKey" in str(gone.problem)


def test_without_credentials_s3_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    s3._client.cache_clear()
    with pytest.raises(MarqueeError, match="configure credentials first"):
        [*inputs.find(f"s3://{BUCKET}", tmp_path)()]
    s3._client.cache_clear()


@pytest.mark.parametrize(
    ("named", "module", "told"),
    [
        (f"s3://{BUCKET}", "boto3", r"s3:// needs boto3, .*pip install -e '.\[aws\]'"),
        ("t.parquet:n", "pyarrow.parquet", "needs pyarrow, which is not installed here; run"),
    ],
)
def test_what_is_not_installed_is_told(
    tree: Path, monkeypatch: pytest.MonkeyPatch, named: str, module: str, told: str
) -> None:
    (tree / "t.parquet").write_bytes(b"")
    s3._client.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MarqueeError, match=told):
        [*inputs.find(named, tree / "out")()]
