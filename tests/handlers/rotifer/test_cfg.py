"""The .cfg format, and what is said about files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlers.rotifer.cfg import MAX_SECTIONS, ConfigError, parse_cfg, read_cfg
from tests.handlers.rotifer.support import GOLDEN, built

HEAD = "[convolutional]\nfilters=7\n[yolo]\nanchors=1,2\nclasses=2\n"


def test_blanks_comments_and_duplicates_are_read_as_the_original_does() -> None:
    text = "# c\n; c\n [ n e t ] \r\nwid th = 6 0 8 # x\nwidth=1\nheight=\nempty\n\na = b = c\n"
    (net,) = parse_cfg(text, "a.cfg")
    assert (net.kind, net.line) == ("net", 3)
    assert net.text("width", "") == "608#x"
    assert net.integer("width", 0) == 608
    assert net.integer("height", 5) == 5
    assert net.text("a", "") == "b=c"
    assert "empty" not in net.options


def test_lists_are_separated_by_commas() -> None:
    (net,) = parse_cfg("[net]\na = 10,13,  16.5,-3,\nb=.5\n", "a.cfg")
    assert net.integers("a") == [10, 13, 16, -3]
    assert net.numbers("a") == [10, 13, 16.5, -3]
    assert net.number("b", 1.0) == 0.5
    assert net.integers("c") is None
    assert net.numbers("c") is None


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.cfg"
    path.write_bytes(b"\xef\xbb\xbf[net]\r\nwidth=32\r\n")
    assert read_cfg(path)[0].integer("width", 0) == 32


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first section must be \\[net\\], found no section"),
        ("width=3\n[net]", "line 1: expected \\[net\\] before any other line"),
        ("[yolo]\n", "line 1: \\[yolo\\]"),
        ("[net]\n[yolo\n", "line 2: expected \\[section\\], found '\\[yolo'"),
    ],
)
def test_what_is_no_cfg(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"a.cfg.*{words}"):
        parse_cfg(text, "a.cfg")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"batch={'9' * 5000}", "batch is '9{60}', expected at most 2147483647"),
        ("batch=-2147483649", "expected at most 2147483647"),
    ],
)
def test_a_number_that_darknet_cannot_hold_is_told(line: str, words: str) -> None:
    (section,) = parse_cfg(f"[net]\n{line}", "a.cfg")
    with pytest.raises(ConfigError, match=words):
        section.integer("batch", 1)


def test_leading_zeros_make_no_number_large() -> None:
    (section,) = parse_cfg(f"[net]\nbatch={'0' * 5000}7", "a.cfg")
    assert section.integer("batch", 1) == 7


def test_an_infinite_number_is_told() -> None:
    (section,) = parse_cfg("[net]\nscale=1e999", "a.cfg")
    with pytest.raises(ConfigError, match="scale is '1e999', expected finite numbers"):
        section.number("scale", 1)


def test_very_many_sections_are_refused() -> None:
    assert len(parse_cfg("[net]\n" + "[cost]\n" * (MAX_SECTIONS - 1), "a.cfg")) == MAX_SECTIONS
    with pytest.raises(ConfigError, match="expected at most 1000"):
        parse_cfg("[net]\n" + "[cost]\n" * MAX_SECTIONS, "a.cfg")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="b.cfg: there is no such"):
        read_cfg(tmp_path / "b.cfg")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.cfg"
    path.write_bytes(b"#" * 5_000_000)
    with pytest.raises(ConfigError, match="5000000 bytes"):
        read_cfg(path)


# Lines are counted from [net] = 1, width = 2, height = 3.
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[gru]\n", "line 4, \\[gru\\]: this section is not supported; supported are conv"),
        ("[connected]\noutput=3\n", "line 4, \\[connected\\]"),
        ("[softmax]\n", "line 4, \\[softmax\\]"),
        ("[conv]\nactivation=gelu2\n", "line 5, \\[conv\\]: activation gelu2 is not supported"),
        ("[conv]\nactivation=leaky#x\n", "activation leaky#x"),
        ("[conv]\nfilters=x\n", "line 5, \\[conv\\]: filters is 'x', expected a number"),
        ("[conv]\nfilters=0\n", "filters is 0, expected at least 1"),
        ("[conv]\nstride=0\n", "stride is 0"),
        ("[conv]\nfilters=4\ngroups=3\n", "line 6, .*groups=3 does not divide 3 channels and 4"),
        ("[conv]\nxnor=1\n", "line 5, \\[conv\\]: xnor=1 is not supported"),
        ("[conv]\nshare_index=1\n", "share_index=1 is not supported"),
        ("[conv]\nantialiasing=1\n", "antialiasing=1 is not supported"),
        ("[conv]\nsize=99\n", "would be -66 x -66 x 1; the network's input is too small"),
        ("[maxpool]\nsize=2\nmaxpool_depth=1\n", "maxpool_depth=1"),
        ("[shortcut]\n", "from is missing"),
        ("[conv]\n[shortcut]\nfrom=-2\n", "line 6, .*from names layer -2, but layers 0 to 0"),
        ("[conv]\n[route]\nlayers=1\n", "layers names layer 1"),
        ("[conv]\n[maxpool]\nsize=2\nstride=2\n[route]\nlayers=0,1\n", "layer 1: 16 x 16 x 1"),
        ("[conv]\nfilters=4\n[route]\nlayers=0\ngroups=3\n", "no part 0 of 3"),
        ("[conv]\nfilters=4\n[route]\nlayers=0\ngroups=2\ngroup_id=2\n", "no part 2 of 2"),
        ("[upsample]\nstride=0\n", "stride is 0"),
        ("[reorg]\nstride=3\n", "stride=3 does not divide 32 x 32 x 3"),
        ("[reorg]\nstride=2\n", "stride=2 does not divide 32 x 32 x 3"),
        ("[conv]\n[avgpool]\n[conv]\nfilters=2\n[scale_channels]\nfrom=0\n", "cannot scale"),
        ("[conv]\n[conv]\nfilters=2\n[sam]\nfrom=0\n", "cannot multiply 32 x 32 x 2"),
        ("[conv]\n[sam]\nfrom=0,0\n", "a single layer"),
        ("[conv]\n[conv]\n[shortcut]\nfrom=0\nweights_type=per_feature\n", "weights_type=per"),
        ("[conv]\n", "there is no \\[yolo\\] or \\[region\\]"),
        ("[conv]\nfilters=8\n[yolo]\nanchors=1,2\nclasses=2\n", "line 6, .* 8 channels .* need 7"),
        ("[conv]\n[yolo]\nnum=2\nanchors=1,2\n", "line 7, .*anchors has 2 numbers, expected 4"),
        ("[conv]\n[yolo]\nanchors=1,2\nmask=1\n", "mask=1 with 1 anchors"),
        ("[conv]\n[region]\nanchors=1,2\ncoords=8\n", "expected coords=4"),
        ("[conv]\n[region]\nanchors=1,2\nsoftmax_tree=9k\n", "softmax_tree=9k is not supported"),
        (HEAD + "nms_kind=cornersnms\n", "nms_kind=cornersnms is not supported"),
        (HEAD + HEAD.replace("7", "6").replace("classes=2", "classes=1"), "same number of"),
    ],
)
def test_what_is_not_supported_is_named_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"test.cfg.*{words}"):
        built(text)


def test_only_rgb_networks() -> None:
    with pytest.raises(ConfigError, match="line 4, \\[net\\]: channels=1, expected 3"):
        built("channels=1\n" + HEAD)


def test_the_networks_size_is_needed() -> None:
    with pytest.raises(ConfigError, match="width is 0"):
        built(HEAD, width=0)


@pytest.mark.parametrize("net", ["tiny5", "res5"])
def test_the_reference_networks_are_read(net: str) -> None:
    kinds = [section.kind for section in read_cfg(GOLDEN / f"{net}.cfg")]
    assert kinds[0] == "net"
    assert kinds.count("yolo") == (2 if net == "tiny5" else 3)
