import struct

import pytest

from handlers.runtime.errors import TooLarge
from handlers.runtime.tifffile import FAX, MAX_FAX_ROWS, check_tiff


def fax(rows: int, compression: int) -> bytes:
    """Return the directory of a picture that is one pixel wide, with nothing in it."""
    tags = {256: 1, 257: rows, 258: 1, 259: compression, 273: 8, 278: rows, 279: 9}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("compression", FAX)
def test_a_fax_may_be_as_long_as_a_sheet(compression: int) -> None:
    check_tiff(fax(MAX_FAX_ROWS, compression), max_pixels=1 << 20)
    with pytest.raises(TooLarge, match=f"{MAX_FAX_ROWS + 1} rows packed as a fax"):
        check_tiff(fax(MAX_FAX_ROWS + 1, compression), max_pixels=1 << 20)


def test_others_may_be_longer() -> None:
    check_tiff(fax(MAX_FAX_ROWS + 1, compression=5), max_pixels=1 << 20)
