"""Painting in tiles: no seams, close to the whole, bounded, and nothing left behind."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from handlers.inkwash import paint as module
from handlers.inkwash.model import Generator, load_generator
from handlers.inkwash.paint import (
    estimate_statistics,
    halo,
    instance_norm,
    paint,
    paint_tiles,
    paint_with,
    run,
    spans,
)

ROOM = Path(module.__file__).parent
WEIGHTS = ROOM / "demo" / "latest_net_G.pth"
EXAMPLE = ROOM / "example.jpg"

SMALL_BUDGET = 1 << 14  # tiles of 128 pixels: a core of 72 beside two halos of 28


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(5)
    return Generator(ngf=4, blocks=2).eval()


@pytest.fixture(scope="module")
def demo() -> Generator:
    return load_generator(WEIGHTS)


def photo(width: int, height: int) -> Tensor:
    """The example at another size: (1, 3, height, width) in [-1, 1]."""
    with Image.open(EXAMPLE) as opened:
        pixels = np.asarray(opened.convert("RGB").resize((width, height)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 127.5 - 1


def noise(height: int, width: int) -> Tensor:
    torch.manual_seed(8)
    return torch.rand(1, 3, height, width) * 2 - 1


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB for values in [-1, 1]."""
    return (10 * torch.log10(4 / (a - b).square().mean())).item()


def test_a_small_picture_is_the_generators_own(generator: Generator) -> None:
    picture = noise(50, 70)
    assert torch.equal(paint(generator, picture), generator(picture))


@pytest.mark.parametrize(("height", "width"), [(300, 304), (301, 405), (7, 3001), (1003, 29)])
def test_tiles_meet_without_a_seam(generator: Generator, height: int, width: int) -> None:
    picture = noise(height, width)
    statistics = estimate_statistics(generator, picture, SMALL_BUDGET)
    tiled = paint_tiles(generator, picture, statistics, SMALL_BUDGET)
    whole = paint_with(generator, picture, statistics)
    assert tiled.shape == whole.shape
    assert (tiled - whole).abs().max() < 1e-4


def test_a_shorter_halo_would_show(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = noise(300, 304)
    statistics = estimate_statistics(generator, picture, SMALL_BUDGET)
    whole = paint_with(generator, picture, statistics)
    monkeypatch.setattr(module, "halo", lambda blocks: halo(blocks) - 8)
    tiled = paint_tiles(generator, picture, statistics, SMALL_BUDGET)
    assert (tiled - whole).abs().max() > 1e-4


@pytest.mark.parametrize("blocks", [1, 2, 9])
def test_nothing_beyond_the_halo_matters(blocks: int) -> None:
    torch.manual_seed(1)
    # In double precision: kernels that share work among neighbours (Winograd's) round by them.
    generator = Generator(ngf=2, blocks=blocks).double().eval()
    reach = halo(blocks)
    picture = noise(8, 2 * reach + 80).double()
    statistics = estimate_statistics(generator, picture)
    first = reach + 40
    other = picture.clone()
    other[..., : first - reach] = 0
    other[..., first + 4 + reach :] = 0
    painted, changed = (paint_with(generator, p, statistics) for p in (picture, other))
    difference = (painted - changed).abs()
    assert difference[..., first : first + 4].max() < 1e-12
    assert difference.max() > 1e-3


def test_statistics_of_a_whole_picture_are_the_instance_norms(generator: Generator) -> None:
    picture = noise(95, 90)
    statistics = estimate_statistics(generator, picture)
    assert len(statistics) == sum(isinstance(m, nn.InstanceNorm2d) for m in generator.modules())
    torch.testing.assert_close(
        paint_with(generator, picture, statistics), generator(picture), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(("height", "width"), [(300, 420), (9, 4000), (2000, 40)])
def test_no_pass_exceeds_the_budget(generator: Generator, height: int, width: int) -> None:
    seen: list[int] = []

    def record(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        batch = inputs[0]
        seen.append(batch.shape[0] * batch.shape[2] * batch.shape[3])

    generator.model[0].register_forward_pre_hook(record)
    paint(generator, noise(height, width), SMALL_BUDGET)
    assert len(seen) > 2
    assert max(seen) <= SMALL_BUDGET


def test_tiles_of_one_size_go_together_where_that_pays(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, sizes = noise(301, 405), []
    statistics = estimate_statistics(generator, picture, SMALL_BUDGET)
    alone = paint_tiles(generator, picture, statistics, SMALL_BUDGET)
    generator.model[0].register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    paint_tiles(generator, picture, statistics, SMALL_BUDGET)
    assert set(sizes) == {1}
    sizes.clear()
    monkeypatch.setattr(module, "at_once", lambda device, pixels: 4)
    together = paint_tiles(generator, picture, statistics, SMALL_BUDGET)
    assert 1 < max(sizes) <= 4
    assert (together - alone).abs().max() < 1e-4


@pytest.mark.parametrize("fits", [True, False])
def test_a_gpu_paints_larger_pictures_whole_if_they_fit(
    generator: Generator, monkeypatch: pytest.MonkeyPatch, fits: bool
) -> None:
    picture = noise(150, 170)
    whole, tiled = generator(picture), paint(generator, picture, SMALL_BUDGET)
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    on_gpu = picture.as_subclass(OnGpu)

    def limit(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not fits and inputs[0].shape[2:] == picture.shape[2:]:
            raise torch.OutOfMemoryError("CUDA out of memory")

    generator.model[0].register_forward_pre_hook(limit)
    painted = paint(generator, on_gpu, SMALL_BUDGET).as_subclass(Tensor)
    assert torch.equal(painted, whole if fits else tiled)
    assert emptied == ([] if fits else [True])


class OnGpu(Tensor):
    """Says that it is on a GPU."""

    is_cuda = True


@pytest.mark.parametrize("length", [5, 72, 73, 301, 1000])
def test_spans_cover_a_side_once_on_the_grid_of_strides(length: int) -> None:
    cut = list(spans(length, core=72, margin=28))
    assert cut[0].start == cut[0].read_from == 0
    assert [span.stop for span in cut[:-1]] == [span.start for span in cut[1:]]
    assert cut[-1].stop == (length + 3) // 4 * 4
    assert cut[-1].read_to == length
    assert all(span.read_from % 4 == 0 and span.stop - span.start <= 72 for span in cut)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_float_types(generator: Generator, dtype: torch.dtype) -> None:
    picture = noise(150, 170)
    expected = paint(generator, picture, SMALL_BUDGET)
    painted = paint(generator.to(dtype), picture.to(dtype), SMALL_BUDGET)
    assert painted.dtype == dtype
    assert psnr(painted.float(), expected) > 35


def test_channels_last(generator: Generator) -> None:
    picture = noise(150, 170)
    expected = paint(generator, picture, SMALL_BUDGET)
    generator.to(memory_format=torch.channels_last)
    painted = paint(generator, picture.to(memory_format=torch.channels_last), SMALL_BUDGET)
    assert psnr(painted, expected) > 80


class Broken(nn.Module):
    """Runs out of memory, as a device may in the middle of a picture."""

    def forward(self, x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("no memory left")


def test_the_instance_norm_by_hand_is_pytorchs(generator: Generator) -> None:
    x = noise(24, 20)
    torch.testing.assert_close(run(generator.model, x, instance_norm), generator(x))


@pytest.mark.parametrize("count", [1, 2])
def test_gradients_are_right_in_any_memory_format(generator: Generator, count: int) -> None:
    x, weights = noise(24, 20).expand(count, -1, -1, -1).contiguous(), noise(24, 20)

    def gradient(memory_format: torch.memory_format, by_hand: bool) -> Tensor:
        laid = generator.to(memory_format=memory_format)
        point = x.clone(memory_format=memory_format).requires_grad_()
        painted = run(laid.model, point, instance_norm) if by_hand else laid(point)
        return torch.autograd.grad((painted * weights).sum(), point)[0]

    expected = gradient(torch.contiguous_format, by_hand=False)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        found = gradient(memory_format, by_hand=True)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_a_failure_leaves_nothing_on_the_generator(generator: Generator) -> None:
    picture = noise(150, 170)
    before = paint(generator, picture, SMALL_BUDGET)
    tanh, generator.model[-1] = generator.model[-1], Broken()
    with pytest.raises(torch.OutOfMemoryError):
        paint(generator, picture, SMALL_BUDGET)
    generator.model[-1] = tanh
    assert torch.equal(paint(generator, picture, SMALL_BUDGET), before)
    assert torch.equal(paint(generator, noise(20, 24)), generator(noise(20, 24)))


def test_threads_do_not_disturb_each_other(generator: Generator) -> None:
    pictures = [noise(150, 170), 0.2 * noise(150, 170) + 0.5]
    alone = [paint(generator, picture, SMALL_BUDGET) for picture in pictures]
    together: dict[int, Tensor] = {}

    def work(index: int) -> None:
        together[index] = paint(generator, pictures[index], SMALL_BUDGET)

    threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, expected in enumerate(alone):
        torch.testing.assert_close(together[index], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 1, 8, 8), (3, 8, 8), (1, 3, 4, 8)])
def test_another_shape_is_refused(generator: Generator, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        paint(generator, torch.zeros(shape))


def test_a_budget_without_room_for_the_halo_is_refused(generator: Generator) -> None:
    with pytest.raises(ValueError, match=r"max_pixels is 400; .* need 3600"):
        paint(generator, noise(50, 50), max_pixels=400)


@pytest.mark.slow
def test_tiled_is_close_to_untiled(demo: Generator) -> None:
    picture = photo(720, 540)
    whole = paint(demo, picture)
    tiled = paint(demo, picture, max_pixels=1 << 18)
    assert psnr(tiled, whole) > 38


def test_the_demo_weights_are_small_enough_for_git() -> None:
    assert WEIGHTS.stat().st_size < 5_000_000
    assert EXAMPLE.stat().st_size < 150_000


def saturation(picture: Tensor) -> float:
    """Mean difference of the strongest and the weakest channel, (1, 3, H, W) in [-1, 1]."""
    return (picture.amax(1) - picture.amin(1)).mean().item()


def test_the_demo_paints_in_ink_on_paper(demo: Generator) -> None:
    picture = photo(320, 240)
    painting = paint(demo, picture)
    assert psnr(painting, picture) < 15
    assert saturation(painting) < 0.5 * saturation(picture)
    grey = painting.mean(1)
    assert grey.quantile(0.02) < -0.4
    assert grey.quantile(0.9) > 0.7


def test_the_demos_darkest_lines_stand_where_the_photo_has_edges(demo: Generator) -> None:
    picture = photo(320, 240)
    painting = paint(demo, picture).mean(1)
    dy, dx = torch.gradient(picture.mean(1), dim=(1, 2))
    edges = nn.functional.max_pool2d((dx.square() + dy.square()).sqrt(), 5, 1, 2)
    dark = painting < painting.quantile(0.05)
    assert edges[dark].mean() > 1.3 * edges.mean()
