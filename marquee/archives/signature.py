"""Signatures of archives, by OpenSSF's model signing: with keys of elliptic curves, offline.

What is signed are the names and SHA-256 of all files in an archive, so that a signature holds for
the unpacked folder as well, and `model_signing verify key` of that package takes it. It is a
Sigstore bundle, and lies beside the archive: ``cifar-1.0.mar.sig``.

To be imported where signatures are wanted: the package is an extra.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing, verifying

from marquee.archives.digests import file_digest
from marquee.errors import MarqueeError
from marquee.files import replacing

# Those that the package takes, by OpenSSL's names for them.
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
# A file in an archive takes 200 bytes of it.
MAX_BYTES = 16 << 20


def sign(folder: Path, target: Path, key: Path, password: bytes | None = None) -> None:
    """Sign the files of an unpacked archive.

    Args:
        folder: with the files.
        target: gets the signature, whole or not at all.
        key: a private key in PEM.
        password: of the key, where it has one.

    Raises:
        MarqueeError: the key cannot be used.
    """
    _check_private(key, password)
    new: Any = signing.Config  # its types say a password is text; it has to be bytes
    signer = new().set_hashing_config(_every_file())
    with replacing(target) as part:
        signer.use_elliptic_key_signer(private_key=key, password=password).sign(folder, part)


def verify(folder: Path, archive: Path, path: Path, keys: Sequence[Path]) -> Path:
    """Check an unpacked archive against a signature.

    Args:
        folder: with the archive's files.
        archive: the packed one, for messages.
        path: of the signature.
        keys: public keys in PEM; one of them must be that of the signature.

    Returns:
        The key that it was signed with.

    Raises:
        MarqueeError: it is not signed, by none of these keys, or not as it is now.
    """
    signed = _read(archive, path)
    key = next((key for key in keys if fingerprint(key) == signed.key), None)
    if key is None:
        raise MarqueeError(
            f"{archive} is signed with the key {signed.key[:16]}, and trusted are "
            f"{', '.join(f'{key} ({fingerprint(key)[:16]})' for key in keys)}; have it signed with "
            "one of these, or trust its key"
        )
    new: Any = verifying.Config
    verifier = new().set_hashing_config(_every_file())
    try:
        verifier.use_elliptic_key_verifier(public_key=key).verify(folder, path)
    except (ValueError, KeyError, TypeError, InvalidSignature) as error:
        raise MarqueeError(_refusal(archive, path, folder, signed.digests)) from error
    return key


def fingerprint(key: Path) -> str:
    """Return by what a signature names its key: the SHA-256, in hex, of the public one in PEM.

    Raises:
        MarqueeError: it is no public key that can be used.
    """
    try:
        public = serialization.load_pem_public_key(_key_bytes(key))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MarqueeError(
            f"{key} is no public key in PEM; make one of the private key: openssl pkey -in KEY "
            "-pubout -out PUBLIC"
        ) from error
    _check_curve(key, public)
    return hashlib.sha256(_pem(public)).hexdigest()


def _pem(public: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    written: bytes = public.public_bytes(serialization.Encoding.PEM, form)
    return written


def is_encrypted(key: Path) -> bool:
    """Tell whether a private key asks for a password.

    Raises:
        MarqueeError: it is no private key.
    """
    try:
        serialization.load_pem_private_key(_key_bytes(key), None)
    except TypeError:  # how the package says so
        return True
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_private(key) from error
    return False


def _check_private(key: Path, password: bytes | None) -> None:
    try:
        private = serialization.load_pem_private_key(_key_bytes(key), password)
    except TypeError as error:
        wrong = "has no password" if password else "has a password"
        raise MarqueeError(f"{key} {wrong}, expected it {'without' if password else 'with'}") from (
            error
        )
    except (ValueError, UnsupportedAlgorithm) as error:
        if password is not None:
            raise MarqueeError(f"{key} cannot be opened with this password") from error
        raise _no_private(key) from error
    _check_curve(key, private)


def _no_private(key: Path) -> MarqueeError:
    return MarqueeError(
        f"{key} is no private key in PEM; make one: openssl genpkey -algorithm EC -pkeyopt "
        "ec_paramgen_curve:P-256 -out KEY"
    )


def _key_bytes(key: Path) -> bytes:
    try:
        return key.read_bytes()
    except OSError as error:
        raise MarqueeError(f"the key {key} cannot be read: {error.strerror}") from error


def _check_curve(path: Path, key: Any) -> None:
    is_curve = isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey)
    if not is_curve or key.curve.name not in CURVES:
        found = key.curve.name if is_curve else type(key).__name__.strip("_")
        raise MarqueeError(
            f"{path} is a key of the kind {found}, expected an elliptic curve's: "
            f"{', '.join(CURVES.values())}"
        )


class _EveryFile(hashing.Config):
    """Takes all files; a signature cannot say which of them it does not cover."""

    def add_ignored_paths(self, **_: Any) -> None:
        """Leave none out."""


def _every_file() -> Any:
    new: Any = _EveryFile
    return new().use_file_serialization().set_ignored_paths(paths=(), ignore_git_paths=False)


@dataclass(frozen=True)
class _Signed:
    """What a signature says, which is not believed before it is verified.

    Attributes:
        key: the fingerprint of the key that made it.
        digests: file in the archive -> its SHA-256 in hex.
    """

    key: str
    digests: Mapping[str, str]


def _read(archive: Path, path: Path) -> _Signed:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES)
    except FileNotFoundError as error:
        raise MarqueeError(
            f"{archive} is not signed: there is no {path.name} beside it; sign it with "
            f"'marquee archive sign {archive.name} --key KEY', or fetch its signature from where "
            "it came from"
        ) from error
    try:
        # Of a larger one half a line is left, which is no JSON.
        return _parsed(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MarqueeError(
            f"{path} is no signature of an archive; make it again: marquee archive sign "
            f"{archive.name} --key KEY"
        ) from error


def _parsed(bundle: Any) -> _Signed:
    envelope = bundle["dsseEnvelope"]
    (_,) = envelope["signatures"]
    payload = json.loads(base64.b64decode(envelope["payload"]))
    resources = payload["predicate"]["resources"]
    digests = {str(one["name"]): str(one["digest"]) for one in resources}
    return _Signed(str(bundle["verificationMaterial"]["publicKey"]["hint"]), digests)


def _refusal(archive: Path, path: Path, folder: Path, stated: Mapping[str, str]) -> str:
    """Return in what an archive is not as its signature says."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    found = {file.relative_to(folder).as_posix(): file_digest(file) for file in files}
    names = sorted(found.keys() | stated.keys())
    changed = [name for name in names if found.get(name) != stated.get(name)]
    if not changed:
        return (
            f"{path} is not what its key signed: the signature itself was changed; "
            "fetch both files again from where they came from"
        )
    listed = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if changed[3:] else "")
    return (
        f"{archive} is not what was signed: {listed} changed since; if that was you, sign it "
        "again, else fetch it again from where it came from"
    )
