"""Signatures of archives: made, checked, and heeded where a project names keys."""

import base64
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from model_signing import signing

from marquee.archives import trust
from marquee.cli.main import main
from marquee.errors import MarqueeError
from marquee.project import Project
from tests.marquee.archives import odd
from tests.marquee.archives.signing import key_pair
from tests.support import make_project


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return key_pair(tmp_path)


@pytest.fixture
def signed(tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    """An archive, and its signature beside it."""
    archive = odd.mar(tmp_path / "net-2.0.mar", odd.model())
    trust.sign(archive, keys[0])
    return archive


def rewritten(archive: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Write an archive anew, with other files."""
    with zipfile.ZipFile(archive) as old:
        files = {name: old.read(name) for name in old.namelist()}
    change(files)
    with zipfile.ZipFile(archive, "w") as new:
        for name, content in files.items():
            new.writestr(name, content)


def refusal(archive: Path, *trusted: Path) -> str:
    with pytest.raises(MarqueeError) as raised:
        trust.verify(archive, trusted)
    return str(raised.value)


def test_a_signature_says_which_of_the_trusted_keys_made_it(
    tmp_path: Path, signed: Path, keys: tuple[Path, Path]
) -> None:
    _, other = key_pair(tmp_path, "other")
    assert trust.verify(signed, [other, keys[1]]) == keys[1]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_zip_around_the_files_is_not_signed(signed: Path, keys: tuple[Path, Path]) -> None:
    packed = signed.with_name("other.mar")
    with zipfile.ZipFile(signed) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in reversed(old.namelist()):
            new.writestr(name, old.read(name))
    trust.signature_of(signed).rename(trust.signature_of(packed))
    assert packed.read_bytes() != signed.read_bytes()
    assert trust.verify(packed, [keys[1]]) == keys[1]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda files: files.update({"handler.py": b"import os"}), "handler.py changed"),
        (lambda files: files.update({".github/more.py": b""}), ".github/more.py changed"),
        (lambda files: files.update({".gitignore": b""}), ".gitignore changed"),
        (lambda files: files.pop("model-config.yaml"), "model-config.yaml changed"),
        (lambda files: files.update({f"{n}.py": b"" for n in "abcde"}), "c.py and 2 more"),
    ],
)
def test_a_file_that_was_changed_added_or_removed_is_named(
    signed: Path,
    keys: tuple[Path, Path],
    change: Callable[[dict[str, bytes]], None],
    named: str,
) -> None:
    rewritten(signed, change)
    assert named in refusal(signed, keys[1])


def test_no_file_can_be_left_out_by_a_signature_that_says_so(
    tmp_path: Path, signed: Path, keys: tuple[Path, Path]
) -> None:
    """The package's own command leaves out what git keeps, and writes that down."""
    with zipfile.ZipFile(signed) as packed:
        packed.extractall(tmp_path / "unpacked")
    signing.Config().use_elliptic_key_signer(private_key=keys[0]).sign(  # type: ignore[no-untyped-call]
        tmp_path / "unpacked", trust.signature_of(signed)
    )
    assert trust.verify(signed, [keys[1]]) == keys[1]
    rewritten(signed, lambda files: files.update({".github/evil.py": b""}))
    assert ".github/evil.py changed" in refusal(signed, keys[1])


def test_the_packages_own_command_takes_our_signatures(
    tmp_path: Path, signed: Path, keys: tuple[Path, Path]
) -> None:
    from model_signing._cli import main as theirs  # noqa: PLC0415 - heavy

    with zipfile.ZipFile(signed) as packed:
        packed.extractall(tmp_path / "unpacked")
    words = ["verify", "key", str(tmp_path / "unpacked"), "--public_key", str(keys[1])]
    words += ["--signature", str(trust.signature_of(signed)), "--no-ignore-git-paths"]
    done = CliRunner().invoke(theirs, words)
    assert (done.exit_code, "succeeded" in done.output) == (0, True), done.output


def test_another_key_is_named_beside_those_that_are_trusted(tmp_path: Path, signed: Path) -> None:
    _, other = key_pair(tmp_path, "other")
    said = refusal(signed, other)
    assert "is signed with the key" in said
    assert "other.pub (" in said


def test_an_archive_without_a_signature_is_refused(signed: Path, keys: tuple[Path, Path]) -> None:
    trust.signature_of(signed).unlink()
    assert "is not signed: there is no net-2.0.mar.sig beside it" in refusal(signed, keys[1])


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 100_000, '{"dsseEnvelope": 1}'])
def test_what_is_no_signature_is_said_to_be_none(
    signed: Path, keys: tuple[Path, Path], text: str
) -> None:
    trust.signature_of(signed).write_text(text)
    assert "is no signature of an archive" in refusal(signed, keys[1])


def test_digests_that_were_changed_with_the_files_do_not_help(
    signed: Path, keys: tuple[Path, Path]
) -> None:
    """An attacker without the key can make both agree, but not sign them."""
    other = odd.mar(signed.with_name("other.mar"), odd.model(modelVersion="3.0"))
    trust.sign(other, key_pair(signed.parent, "evil")[0])
    path = trust.signature_of(signed)
    ours = json.loads(path.read_text())
    theirs = json.loads(trust.signature_of(other).read_text())
    ours["dsseEnvelope"]["payload"] = theirs["dsseEnvelope"]["payload"]
    path.write_text(json.dumps(ours))
    shutil.copyfile(other, signed)
    assert "the signature itself was changed" in refusal(signed, keys[1])


def test_a_signature_must_be_the_only_one(signed: Path, keys: tuple[Path, Path]) -> None:
    path = trust.signature_of(signed)
    bundle = json.loads(path.read_text())
    bundle["dsseEnvelope"]["signatures"] *= 2
    path.write_text(json.dumps(bundle))
    assert "is no signature of an archive" in refusal(signed, keys[1])


def test_what_is_signed_can_be_read_by_people(signed: Path) -> None:
    bundle = json.loads(trust.signature_of(signed).read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert statement["subject"][0]["name"] == "net-2.0"
    names = [one["name"] for one in statement["predicate"]["resources"]]
    assert names == ["MAR-INF/MANIFEST.json", "handler.py", "model-config.yaml"]


def archive(*words: object, **environ: str) -> Result:
    return CliRunner().invoke(main, ["archive", *map(str, words)], env=environ)


def test_the_commands_sign_and_verify(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    made = odd.mar(tmp_path / "net-2.0.mar", odd.model())
    done = archive("sign", made, "--key", keys[0])
    assert (done.exit_code, done.output.split()[:2]) == (0, ["signed", "net-2.0.mar"]), done.output
    done = archive("verify", made, "--key", keys[1])
    assert done.exit_code == 0, done.output
    assert f"with {keys[1]}, and unchanged since" in done.output
    rewritten(made, lambda files: files.update({"handler.py": b""}))
    done = archive("verify", made, "--key", keys[1])
    assert (done.exit_code, "Error: " in done.output) == (1, True)


@pytest.mark.parametrize(("given", "code"), [("right", 0), ("wrong", 1)])
def test_a_keys_password_comes_from_the_environment_or_is_asked_for(
    tmp_path: Path, given: str, code: int
) -> None:
    private, _ = key_pair(tmp_path, "locked", password=b"right")
    made = odd.mar(tmp_path / "net-2.0.mar", odd.model())
    done = archive("sign", made, "--key", private, MARQUEE_KEY_PASSWORD=given)
    assert done.exit_code == code, done.output
    assert given not in done.output
    assert trust.signature_of(made).exists() == (code == 0)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (lambda: ec.generate_private_key(ec.SECP256K1()), "of the kind secp256k1, expected"),
        (lambda: rsa.generate_private_key(65537, 2048), "of the kind RSA"),
    ],
)
def test_a_key_of_another_kind_is_refused(
    tmp_path: Path, key: Callable[[], ec.EllipticCurvePrivateKey], said: str
) -> None:
    private, public = key_pair(tmp_path, key=key())
    made = odd.mar(tmp_path / "net-2.0.mar", odd.model())
    for done in (archive("sign", made, "--key", private), archive("verify", made, "--key", public)):
        assert done.exit_code == 1
        assert said in done.output


def test_swapped_keys_are_told(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    made = odd.mar(tmp_path / "net-2.0.mar", odd.model())
    assert "is no private key in PEM" in archive("sign", made, "--key", keys[1]).output
    assert "is no public key in PEM" in archive("verify", made, "--key", keys[0]).output
    assert "cannot be read" in archive("sign", made, "--key", tmp_path / "none").output


def test_without_the_package_there_is_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    monkeypatch.setattr(trust, "PACKAGE", "no_such_package")
    project = trusting(tmp_path, keys[1])
    with pytest.raises(MarqueeError, match=r"pip install 'marquee\[sign\]'"):
        trust.keys(project)
    assert trust.keys(Project(project.root, {"TS_CONFIG_FILE": str(plain(tmp_path))})) == ()


def plain(folder: Path) -> Path:
    """Write a configuration that names no keys."""
    path = folder / "plain.properties"
    path.write_text("model_store=model_store\nmarquee.trust=\n")
    return path


def trusting(folder: Path, *keys: Path) -> Project:
    """Make a project that trusts these keys, with a short temporary folder of its own."""
    project = make_project(folder / "project")
    path = project.root / "config.properties"
    named = ", ".join(str(key) for key in keys)
    path.write_text(path.read_text().replace("\nmarquee.trust=", f"\nmarquee.trust={named}"))
    return Project(project.root, {"TEMP": str(folder / "t")})


def test_a_cluster_whose_nodes_do_not_look_is_refused_where_keys_are_named(
    tmp_path: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    trust.refuse_cluster(trusting(tmp_path / "open"), "stay here")
    named = trusting(tmp_path / "closed", keys[1])
    odd.mar(named.model_store / "net-2.0.mar", odd.model())
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(named.root)
    for words in (
        ["ray", "serve"],
        ["batch", "net", str(tmp_path / "in"), str(tmp_path / "out"), "--address", "local"],
    ):
        done = CliRunner().invoke(main, words)
        assert "a Ray cluster does not check signatures" in done.output, done.output


def test_a_project_without_keys_trusts_everything(tmp_path: Path) -> None:
    project = trusting(tmp_path)
    assert (trust.keys(project), trust.store(project)) == ((), project.model_store)
    trust.admit(project, tmp_path / "not even there")


def test_the_environment_cannot_take_the_keys_away(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    named = trusting(tmp_path, keys[1])
    for name in ("TS_MARQUEE.TRUST", "MARQUEE_TRUST", "TS_MARQUEE_TRUST"):
        assert trust.keys(Project(named.root, {**named.environ, name: ""})) == (keys[1],)


def test_what_is_admitted_is_a_copy_that_later_changes_do_not_reach(
    tmp_path: Path, signed: Path, keys: tuple[Path, Path]
) -> None:
    project = trusting(tmp_path, keys[1])
    trust.admit(project, signed)
    rewritten(signed, lambda files: files.update({"handler.py": b"evil"}))
    with pytest.raises(MarqueeError, match="handler.py changed"):
        trust.admit(project, signed)
    inside = trust.store(project) / "net-2.0.mar"
    assert (inside / "handler.py").read_bytes() == odd.HANDLER
    assert [path.name for path in trust.store(project).iterdir()] == ["net-2.0.mar"]
    assert trust.store(project).stat().st_mode & 0o777 == 0o700


def test_a_change_between_the_look_and_the_load_is_caught(
    tmp_path: Path, signed: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the archive was when it was inspected, what was unpacked is what is checked."""
    project, unpack = trusting(tmp_path, keys[1]), trust._unpack

    def raced(archive: Path, folder: Path) -> None:
        rewritten(archive, lambda files: files.update({"handler.py": b"evil"}))
        unpack(archive, folder)

    trust.verify(signed, [keys[1]])
    monkeypatch.setattr(trust, "_unpack", raced)
    with pytest.raises(MarqueeError, match="handler.py changed"):
        trust.admit(project, signed)
    assert [*trust.store(project).iterdir()] == []


def test_what_cannot_be_signed_is_refused(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    project = trusting(tmp_path, keys[1])
    archives = [
        odd.tar(tmp_path / "net.tar.gz", odd.model()),
        odd.folder(tmp_path / "unpacked.mar", odd.model()),
    ]
    for path in archives:
        with pytest.raises(MarqueeError, match="expected a .mar file"):
            trust.admit(project, path)


def test_a_missing_key_is_no_trust_in_everything(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="the key .*gone.pub cannot be read"):
        trust.keys(trusting(tmp_path, tmp_path / "gone.pub"))


def test_no_signature_is_looked_at_where_none_is_wanted(tmp_path: Path) -> None:
    """The package takes half a second to import, and need not be there."""
    loaded = {name for name in sys.modules if name.startswith("model_signing")}
    trust.admit(trusting(tmp_path), tmp_path)
    assert {name for name in sys.modules if name.startswith("model_signing")} == loaded
