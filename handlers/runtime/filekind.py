"""What a file is, told by its first bytes and not by its name.

Only the standard library is used, so that whoever looks for weights need not load torch.
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

HEAD = 512
# What zipfile raises of a damaged directory; NotImplementedError of a version yet to come.
UNREADABLE = (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OSError)
MAX_HEADER = 100_000_000
# The first pickle of torch.save's older format: protocol 2 and a number of 80 bits.
TORCH_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
LFS = b"version https://git-lfs.github.com/spec/"
# A scripted or exported program, an archive: what a zip file is when it has such a member.
MEMBERS = {
    "constants.pkl": "a TorchScript program",
    "data.pkl": "a PyTorch file",
    "archive_format": "an exported program of torch.export",
    "MANIFEST.json": "a model archive",
    "model.weights.h5": "a Keras 3 archive",
}
BEGINNINGS = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"7z\xbc\xaf\x27\x1c": "a 7z file",
    b"Rar!": "a RAR file",
    b"\x93NUMPY": "a numpy array",
    b"GGUF": "a GGUF file",
    b"%PDF": "a PDF document",
    b"\x89PNG\r\n": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"BM": "a picture",
    b"II*\x00": "a picture",
    b"MM\x00*": "a picture",
    b"RIFF": "a picture",
}
NETWORK = (
    "save its weights alone where you have it: torch.save(network.state_dict(), 'weights.pth')"
)
# What to do with each; packed files are to be unpacked, others to be saved again.
ADVICE = {
    "a TorchScript program": (
        "save its weights alone: torch.save(torch.jit.load('FILE').state_dict(), 'weights.pth')"
    ),
    "an exported program of torch.export": NETWORK,
    "an ONNX network": NETWORK,
    "a web page": "download the file itself: a page was saved in its place, often one to log in",
    "a git-lfs pointer": "get the file that it stands for: git lfs pull",
    "an empty file": "copy it again",
    "a plain pickle": "write it with torch.save(network.state_dict(), 'weights.pth')",
    "a Keras 3 archive": "save it as HDF5: model.save('weights.h5')",
    "a model archive": "use the weight file that was packed into it",
    "a truncated zip file": "it is truncated or damaged, copy it again",
    "a picture": "put the weight file there",
    "a PDF document": "put the weight file there",
    "text": "put the weight file there",
}
PACKED = {f"a {kind} file" for kind in ("gzip", "bzip2", "xz", "zstd", "7z", "RAR", "tar", "zip")}
UNKNOWN = "of no known kind"
PYTORCH = "a PyTorch file"
SAFETENSORS = "a safetensors file"
HDF5 = "an HDF5 file"
DARKNET = "a darknet weight file"
WEIGHTS = {PYTORCH, SAFETENSORS, HDF5, DARKNET}
BESIDE = {"text", "a picture", "a PDF document"}


@dataclass(frozen=True)
class Kind:
    """What a file is.

    Attributes:
        name: with its article, such as ``a web page``.
    """

    name: str

    @property
    def is_weights(self) -> bool:
        """Whether some room reads its weights from such a file."""
        return self.name in WEIGHTS

    @property
    def is_known(self) -> bool:
        """Whether it is some known kind of file."""
        return self.name != UNKNOWN

    @property
    def is_beside(self) -> bool:
        """Whether it is what lies beside weights by habit: notes, logs, pictures."""
        return self.name in BESIDE

    @property
    def advice(self) -> str:
        """What to do to get a weight file from it."""
        if self.name in PACKED:
            return "unpack it and use the weight file inside"
        return ADVICE.get(self.name, NETWORK)


def kind_of(path: Path) -> Kind:
    """Look at a file's first bytes, and at the names in it if it is a zip file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    return Kind(_binary(path, head) or _text(head) or UNKNOWN)


def _binary(path: Path, head: bytes) -> str | None:
    if not head:
        return "an empty file"
    if head.startswith(b"PK\x03\x04"):
        return _zip(path)
    if head.startswith(TORCH_LEGACY):
        return PYTORCH
    if _is_safetensors(head, path.stat().st_size):
        return SAFETENSORS
    known = (name for beginning, name in BEGINNINGS.items() if head.startswith(beginning))
    return next(known, None) or _without_mark(head)


def _without_mark(head: bytes) -> str | None:
    """Tell the formats that have no mark of their own at the very beginning."""
    if head[257:262] == b"ustar":
        return "a tar file"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite network"
    # The field ir_version, then the producer, the graph, the model's version or its imports.
    if len(head) < 2:
        return None
    if head[:1] == b"\x08" and 0 < head[1] < 32 and head[2:3] in b"\x12\x1a\x22\x28\x3a\x42":
        return "an ONNX network"
    if len(head) >= 16 and struct.unpack_from("<i", head)[0] == 0:
        minor, revision = struct.unpack_from("<2i", head, 4)
        return DARKNET if minor in (1, 2) and 0 <= revision < 100 else None
    return "a plain pickle" if head[:1] == b"\x80" and 2 <= head[1] <= 5 else None


def _is_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= min(MAX_HEADER, size - 8)


def _zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.rpartition("/")[2] for name in archive.namelist()}
            scripted = any("/code/" in name for name in archive.namelist())
    except UNREADABLE:
        return "a truncated zip file"
    if scripted:
        return "a TorchScript program"
    if any(name.endswith(".npy") for name in members):
        return "a numpy archive"
    order = ("constants.pkl", "data.pkl", "archive_format", "MANIFEST.json", "model.weights.h5")
    return next((MEMBERS[name] for name in order if name in members), "a zip file")


def _text(head: bytes) -> str | None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--")):
        return "a web page"
    if head.startswith(LFS):
        return "a git-lfs pointer"
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # A letter that the head cuts in two is none of the file's faults.
        if error.start < len(head) - 3:
            return None
        text = head[: error.start].decode()
    return "text" if all(one.isprintable() or one in "\t\r\n\f" for one in text) else None
