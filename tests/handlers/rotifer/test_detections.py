"""Heads, suppression, counting of regions, and drawing, against plain loops."""

from __future__ import annotations

import math
import tracemalloc
from itertools import product

import numpy as np
import pytest
import torch

from handlers.rotifer import regions
from handlers.rotifer.crop import crop_box, saturation
from handlers.rotifer.detections import (
    MAX_PAIRS,
    Candidates,
    Detection,
    Floats,
    Suppression,
    TooManyCandidates,
    iou,
    suppress,
)
from handlers.rotifer.heads import Grid, Head, Region, Yolo
from handlers.rotifer.pictures import draw, resize
from handlers.rotifer.regions import TooFragmented, label_regions
from tests.handlers.rotifer.support import built

Box = tuple[float, float, float, float]


def overlap(one: Floats, other: Floats) -> float:
    sides = []
    for axis in (0, 1):
        low = max(one[axis] - one[axis + 2] / 2, other[axis] - other[axis + 2] / 2)
        high = min(one[axis] + one[axis + 2] / 2, other[axis] + other[axis + 2] / 2)
        sides.append(max(0.0, high - low))
    common = sides[0] * sides[1]
    return float(common / (one[2] * one[3] + other[2] * other[3] - common))


def by_loops(candidates: Candidates, threshold: float) -> list[tuple[int, float, int]]:
    """Sort, walk, zero: returns (class, probability, number of the box)."""
    left = candidates.probabilities.copy()
    order = list(range(len(left)))
    for kind in range(left.shape[1]):
        order.sort(key=lambda i, kind=kind: -left[i, kind])  # type: ignore[misc]
        for place, i in enumerate(order):
            for j in order[place + 1 :] if left[i, kind] else ():
                if overlap(candidates.boxes[i], candidates.boxes[j]) > threshold:
                    left[j, kind] = 0
    found = [(k, float(left[i, k]), i) for i in order for k in range(left.shape[1]) if left[i, k]]
    return sorted(found, key=lambda entry: -entry[1])


@pytest.mark.parametrize("seed", range(6))
def test_suppression_and_its_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    boxes = random.uniform(0, 60, (80, 4)).astype(np.float32) + np.array([0, 0, 20, 20], np.float32)
    # Few levels, so that many probabilities are equal.
    probabilities = (random.integers(0, 6, (80, 3)) / 8).astype(np.float32)
    candidates = Candidates(boxes, np.ones(80, np.float32), probabilities)
    found = suppress(candidates, Suppression(0.3))
    wanted = by_loops(candidates, 0.3)
    assert [(d.class_id, d.probability) for d in found] == [entry[:2] for entry in wanted]
    assert [d.box for d in found] == [tuple(boxes[i].tolist()) for _, _, i in wanted]
    assert 0 < len(found) < np.count_nonzero(probabilities)


def test_nothing_found() -> None:
    empty = Candidates(*(np.zeros(s, np.float32) for s in ((0, 4), (0,), (0, 3))))
    assert suppress(empty, Suppression(0.5)) == []


def test_too_many_candidates_are_refused_before_the_work() -> None:
    count = MAX_PAIRS + 1
    many = Candidates(*(np.ones(s, np.float32) for s in ((count, 4), (count,), (count, 1))))
    with pytest.raises(TooManyCandidates, match=str(count)):
        suppress(many, Suppression(0.5))


def test_iou_of_points_and_strangers_is_zero() -> None:
    others = np.array([[0, 0, 0, 0], [100, 0, 2, 2], [0, 0, 2, 2], [1, 0, 2, 2]], np.float32)
    found = iou(np.array([0, 0, 2, 2], np.float32), others)
    np.testing.assert_allclose(found, [0, 0, 1, 1 / 3], rtol=1e-6)
    assert iou(np.zeros(4, np.float32), others).tolist() == [0, 0, 0, 0]


def test_the_distance_of_centres_counts_for_diounms() -> None:
    boxes = np.array([[0, 0, 4, 4], [1, 0, 4, 4]], np.float32)
    pair = Candidates(boxes, np.ones(2, np.float32), np.array([[0.9], [0.8]], np.float32))
    apart = 0.6 - (1 / 41) ** 0.6  # IoU 12 / 20, centres 1 apart, hull 5 x 4
    assert len(suppress(pair, Suppression(apart + 0.01, 0.6))) == 2
    assert len(suppress(pair, Suppression(apart - 0.01, 0.6))) == 1
    assert len(suppress(pair, Suppression(apart + 0.01))) == 1


def test_a_networks_own_rule() -> None:
    text = "[convolutional]\nfilters=6\n[yolo]\nanchors=1,2\nclasses=1\n"
    assert built(text).suppression(0.4) == Suppression(0.4)
    assert built(text + "nms_kind=greedynms\n").suppression(0.4) == Suppression(0.4)
    own = built(text + "nms_kind=diounms\nbeta_nms=0.7\n")
    assert own.suppression(0.4) == Suppression(0.4, 0.7)


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


GRID = Grid(((10.0, 14.0), (30.0, 20.0)), 2, 64, 32)
SIZE = (100, 50)


def decoded(head: Head, raw: torch.Tensor, threshold: float = 0.25) -> Candidates:
    return head.candidates(head(raw)[0].numpy(), SIZE, threshold)


def cells(raw: torch.Tensor) -> list[tuple[int, int, int, list[float]]]:
    """Yield row, column, anchor and the seven channels, in darknet's order."""
    parts = raw[0].view(2, 7, *raw.shape[2:])
    order = product(range(raw.shape[2]), range(raw.shape[3]), range(2))
    return [(r, c, a, parts[a, :, r, c].tolist()) for r, c, a in order]


@pytest.mark.parametrize("scale", [1.0, 1.2])
def test_yolo_boxes(scale: float) -> None:
    raw = torch.randn(1, 14, 2, 4)
    found = decoded(Yolo(GRID, scale, new_coords=False), raw)
    boxes, probabilities = [], []
    for row, column, anchor, (x, y, w, h, o, *classes) in cells(raw):
        if logistic(o) > 0.25:
            dx, dy = (logistic(v) * scale - 0.5 * (scale - 1) for v in (x, y))
            across, down = GRID.anchors[anchor]
            sides = math.exp(w) * across / 64 * 100, math.exp(h) * down / 32 * 50
            boxes.append([(column + dx) / 4 * 100, (row + dy) / 2 * 50, *sides])
            each = [logistic(o) * logistic(c) for c in classes]
            probabilities.append([p if p > 0.25 else 0 for p in each])
    np.testing.assert_allclose(found.boxes, boxes, rtol=1e-5)
    np.testing.assert_allclose(found.probabilities, probabilities, rtol=1e-5)


def test_new_coords_are_activated_already() -> None:
    raw = torch.rand(1, 14, 2, 4)
    found = decoded(Yolo(GRID, 2.0, new_coords=True), raw, 0.0)
    boxes = [
        [
            (column + 2 * x - 0.5) / 4 * 100,
            (row + 2 * y - 0.5) / 2 * 50,
            4 * w * w * GRID.anchors[anchor][0] / 64 * 100,
            4 * h * h * GRID.anchors[anchor][1] / 32 * 50,
        ]
        for row, column, anchor, (x, y, w, h, *_) in cells(raw)
    ]
    np.testing.assert_allclose(found.boxes, boxes, rtol=1e-5)


@pytest.mark.parametrize("softmax", [True, False])
def test_region_boxes(softmax: bool) -> None:
    raw = torch.randn(1, 14, 2, 4)
    grid = Grid(((1.5, 0.7), (3.0, 2.0)), 2, 4, 2)
    found = decoded(Region(grid, softmax=softmax), raw)
    boxes, probabilities = [], []
    for row, column, anchor, (x, y, w, h, o, *classes) in cells(raw):
        total = sum(math.exp(c) for c in classes)
        shares = [math.exp(c) / total for c in classes] if softmax else classes
        each = [logistic(o) * share for share in shares]
        if logistic(o) > 0.25 and max(each) > 0.25:
            across, down = grid.anchors[anchor]
            sides = math.exp(w) * across / 4 * 100, math.exp(h) * down / 2 * 50
            centre = (column + logistic(x)) / 4 * 100, (row + logistic(y)) / 2 * 50
            boxes.append([*centre, *sides])
            probabilities.append([p if p > 0.25 else 0 for p in each])
    np.testing.assert_allclose(found.boxes, boxes, rtol=1e-5)
    np.testing.assert_allclose(found.probabilities, probabilities, rtol=1e-5)
    assert (found.objectness == 1).all()


def test_boxes_without_bounds_are_left_out() -> None:
    raw = torch.full((1, 14, 2, 4), 5.0)
    raw[0, 2, 0, 0] = 900.0  # e^900 is infinite
    assert len(decoded(Yolo(GRID, 1.0, new_coords=False), raw).boxes) == 2 * 4 * 2 - 1


def test_resize_rounds_as_the_original_on_the_last_row() -> None:
    # 223 * float32(57 / 223) lies just below 57: only the row above counts, with share ~0.
    pixels = np.full((58, 40, 3), 200, np.uint8)
    found = resize(pixels, (320, 224))
    assert found.shape == (3, 224, 320)
    assert found[:, -1].max() < 1e-4
    np.testing.assert_allclose(found[:, :-1], 200 / 255, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (90, 70)])
def test_resize_puts_corners_on_corners(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    wanted = torch.nn.functional.interpolate(planes, (64, 96), mode="bilinear", align_corners=True)[
        0
    ]
    np.testing.assert_allclose(resize(pixels, (96, 64)), wanted.numpy(), atol=3e-5)


@pytest.mark.parametrize("shape", [(60_000, 100), (100, 60_000), (60_000, 1), (1, 60_000)])
def test_resize_takes_memory_for_the_result_not_for_the_picture(shape: tuple[int, int]) -> None:
    pixels = np.zeros((*shape, 3), np.uint8)
    tracemalloc.start()
    resize(pixels, (320, 224))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # What is written at resize(): two rows of the picture for each of the result, and some copies.
    assert peak < 2 * 224 * 3 * (shape[1] + 4 * 8 * 320)


def test_resize_leaves_the_networks_own_size_alone() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    assert np.array_equal(resize(pixels, (6, 4)), (pixels / np.float32(255)).transpose(2, 0, 1))


def outlined(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], box: Box) -> None:
    """Draw one green box of full brightness pixel by pixel."""
    cx, cy, w, h = box
    x, y, bw, bh = int(cx - w / 2), int(cy - h / 2), int(w), int(h)
    for across, down in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)):
        ring = {(x + i, y + j) for i in range(bw + 1) for j in (0, bh)}
        ring |= {(x + i, y + j) for i in (0, bw) for j in range(bh + 1)}
        for i, j in ring:
            row, column = j + down, i + across
            if 0 <= row < pixels.shape[0] and 0 <= column < pixels.shape[1]:
                for channel, colour in enumerate((0, 255, 0)):
                    old = int(pixels[row, column, channel])
                    pixels[row, column, channel] = int(old * (1 - 0.8) + colour * 0.8)


@pytest.mark.parametrize(
    "box",
    [(20, 15, 10, 8), (2, 2, 12, 12), (30, 28, 40, 9), (15, 15, 90, 90), (9, 9, 0.5, 0.5),
     (-50, 5, 4, 4), (12, 12, 5, 0.3), (35.5, 0.4, 9.9, 1.2)],
)  # fmt: skip
def test_drawing_pixel_by_pixel(box: Box) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    wanted = pixels.copy()
    outlined(wanted, box)
    before = pixels.copy()
    assert np.array_equal(draw(pixels, [Detection(1, 1.0, box)]), wanted)
    assert np.array_equal(pixels, before)


def test_colours() -> None:
    black = np.zeros((9, 9, 3), np.uint8)
    strong = draw(black, [Detection(0, 0.9, (4, 4, 4, 4))]).max((0, 1))
    assert strong[1] > 0
    assert strong[0] == strong[2] == 0
    weak = draw(black, [Detection(2, 0.3, (4, 4, 4, 4))]).max((0, 1))
    assert weak[0] > 0
    assert weak[1] == weak[2] == 0


def flooded(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], diagonal: bool) -> Floats:
    """Number regions by filling them one after another."""
    labels = np.zeros(mask.shape, np.int32)
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    steps += [(1, 1), (1, -1), (-1, 1), (-1, -1)] if diagonal else []
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        waiting = [start]
        while waiting:
            row, column = waiting.pop()
            inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
            if inside and mask[row, column] and not labels[row, column]:
                labels[row, column] = count
                waiting += [(row + down, column + across) for down, across in steps]
    return labels.astype(np.float32)


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.6, 0.9])
def test_regions(share: float, diagonal: bool) -> None:
    random = np.random.default_rng(3)
    for shape in ((1, 1), (1, 9), (9, 1), (30, 41)):
        mask = random.random(shape) < share
        labels, count = label_regions(mask, diagonal=diagonal)
        wanted = flooded(mask, diagonal)
        assert np.array_equal(labels, wanted)
        assert count == wanted.max()


def test_pure_noise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "MAX_RUNS", 10)
    with pytest.raises(TooFragmented, match="more than 10 pieces"):
        label_regions(np.eye(12, dtype=np.bool_), diagonal=True)


def test_crop_measures_the_outline_not_the_pixels() -> None:
    pixels = np.full((60, 80, 3), 128, np.uint8)
    ring = np.zeros((60, 80), bool)
    ring[5:35, 5:35] = True
    ring[6:34, 6:34] = False  # thin, but it encloses 29 x 29
    ring[15:20, 15:20] = True  # an island inside
    full = np.zeros_like(ring)
    full[30:58, 45:72] = True  # 27 x 26, and more pixels
    pixels[ring | full] = (200, 20, 20)
    assert crop_box(pixels) == (5, 5, 30, 30)


def test_no_colour_no_crop() -> None:
    assert crop_box(np.full((9, 9, 3), 77, np.uint8)) is None


def test_saturation_of_known_colours() -> None:
    colours = np.array([[[0, 0, 0], [255, 0, 0], [200, 100, 150], [255, 255, 255]]], np.uint8)
    # 127.5, but (100 * 5222 + 2048) >> 12 in fixed point
    assert saturation(colours).tolist() == [[0, 255, 127, 0]]
