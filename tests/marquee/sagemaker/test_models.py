"""The folder in S3 of a multi-model endpoint, by the commands."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner, Result

from marquee.cli.main import main
from marquee.errors import MarqueeError
from marquee.sagemaker.account import Account
from marquee.sagemaker.models import dry_put
from marquee.sagemaker.tarball import write
from tests.marquee.sagemaker.support import BUCKET, REGION

FOLDER = f"s3://{BUCKET}/lions/"


@pytest.fixture
def script(tmp_path: Path) -> str:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text("def model_fn(folder): return None\n")
    return str(tmp_path)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["sagemaker", "models", *words, "--region", REGION])


def test_a_model_comes_is_listed_and_goes(account: Account, script: str) -> None:
    put = run("put", FOLDER, "barbary", "--script", script)
    assert (put.exit_code, put.stdout) == (0, "put barbary.tar.gz\n"), put.output
    boto3.client("s3", region_name=REGION).put_object(Bucket=BUCKET, Key="lions/notes.txt")
    listed = run("list", FOLDER).stdout
    assert "barbary.tar.gz" in listed
    assert "notes.txt" not in listed
    assert run("remove", FOLDER, "barbary.tar.gz").stdout == "removed barbary.tar.gz\n"
    assert "barbary" not in run("list", FOLDER).stdout


def test_a_model_is_not_replaced(account: Account, script: str) -> None:
    run("put", FOLDER, "barbary", "--script", script)
    again = run("put", FOLDER, "barbary", "--script", script)
    assert again.exit_code == 1
    assert "would go on with the old one; put it under a new name with --as" in again.stderr
    renamed = run("put", FOLDER, "barbary", "--script", script, "--as", "kin/second.tar.gz")
    assert renamed.exit_code == 0
    absent = run("remove", FOLDER, "third.tar.gz")
    assert absent.exit_code == 1
    assert f"no third.tar.gz in {FOLDER}; it has barbary.tar.gz, kin/second" in absent.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["list", FOLDER[:-1]], "FOLDER is 's3://models-of-tests/lions'; expected the --model-da"),
        (["remove", "lions/", "a.tar.gz"], "FOLDER is 'lions/'; expected s3://BUCKET/PATH"),
        (["remove", FOLDER, "a.zip"], "the model's name is 'a.zip'; expected letters"),
        (["put", FOLDER, "a", "--as", "/a.tar.gz"], "the model's name is '/a.tar.gz'"),
    ],
)
def test_folders_and_names_that_cannot_be(words: list[str], told: str) -> None:
    done = run(*words)
    assert done.exit_code == 1
    assert told in done.stderr


def test_a_model_is_one_archive(tmp_path: Path) -> None:
    content = tmp_path / "content.mar"
    content.write_bytes(b"an archive")
    packed = write({"a-1.0.mar": content, "a-2.0.mar": content}, tmp_path / "model.tar.gz")
    with pytest.raises(MarqueeError, match=r"a-1.0.mar, a-2.0.mar cannot be one model"):
        dry_put(FOLDER, "a.tar.gz", packed)
