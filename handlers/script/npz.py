"""``.npz`` files of clients: what they unpack to is counted while it is unpacked."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

from handlers.runtime.arrays import Array, read_npy
from handlers.runtime.errors import BadRequest, TooLarge
from handlers.script.sparse import is_sparse, to_dense

# Far more than a file with one array, or one sparse matrix, holds.
MAX_ENTRIES = 32
# The two that numpy writes. The others unpack all of a member before the first byte is read.
METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
PIECE = 1 << 16
SUFFIX = ".npy"
ENCRYPTED = 0x1
# How an entry of a zip file's directory begins. Numbers may look so by chance, not a thousand.
DIRECTORY_ENTRY, MAX_DIRECTORY = b"PK\1\2", 1000
# What reading a damaged zip file may raise.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    RuntimeError,
)


def read_npz(data: bytes, max_bytes: int) -> Array:
    """Read the one array of an ``.npz`` file, or the sparse matrix that SciPy saved in it.

    Raises:
        BadRequest: damaged, pickled, or not exactly one array.
        TooLarge: it unpacks to more than ``max_bytes``.
    """
    arrays = read_arrays(data, max_bytes)
    if is_sparse(arrays):
        return to_dense(arrays, max_bytes)
    if len(arrays) != 1:
        raise BadRequest(f"the .npz file holds {len(arrays)} arrays, expected exactly one")
    return next(iter(arrays.values()))


def read_arrays(data: bytes, max_bytes: int) -> Mapping[str, Array]:
    """Read all arrays of an ``.npz`` file by name.

    In memory there are at most ``max_bytes`` of unpacked members and of their arrays each.

    Raises:
        BadRequest: damaged, encrypted, compressed in another way than numpy's, or no arrays.
        TooLarge: more than ``MAX_ENTRIES``, or more than ``max_bytes`` in all.
    """
    arrays: dict[str, Array] = {}
    left = max_bytes
    # Counted before zipfile makes an object of each.
    if data.count(DIRECTORY_ENTRY) > MAX_DIRECTORY:
        raise TooLarge(f"the .npz file holds far more than {MAX_ENTRIES} arrays; send fewer")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_directory(archive)
            for entry in archive.infolist():
                member = _unpacked(archive, entry, left, max_bytes)
                left -= len(member)
                name = entry.filename.removesuffix(SUFFIX)
                if name in arrays:
                    raise BadRequest(f"the .npz file holds two arrays named '{name[:60]}'")
                arrays[name] = read_npy(member)
    except DAMAGE as error:
        raise BadRequest(f"the body is no readable .npz file: {_line(error)}") from error
    return arrays


def _check_directory(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise TooLarge(
            f"the .npz file holds {len(entries)} arrays, at most {MAX_ENTRIES} are read; send fewer"
        )
    for entry in entries:
        if entry.flag_bits & ENCRYPTED:
            raise BadRequest(
                f"'{entry.filename[:60]}' in the .npz file is encrypted; write it with numpy.savez"
            )
        if entry.compress_type not in METHODS:
            raise BadRequest(
                f"'{entry.filename[:60]}' in the .npz file is compressed by method "
                f"{entry.compress_type}, expected {' or '.join(METHODS.values())}; write it with "
                "numpy.savez or numpy.savez_compressed"
            )


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int, max_bytes: int) -> bytes:
    """Unpack a member piece by piece: what the directory says of its size may be a lie."""
    pieces, size = [], 0
    if entry.file_size > left:
        raise _too_large(max_bytes)
    with archive.open(entry) as stream:
        while piece := stream.read(PIECE):
            size += len(piece)
            if size > left:
                raise _too_large(max_bytes)
            pieces.append(piece)
    return b"".join(pieces)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(
        f"the .npz file unpacks to more than {max_bytes} bytes, which are the most that are read; "
        "send fewer or smaller arrays"
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
