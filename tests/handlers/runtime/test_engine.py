"""Batches against single items, and the ways a batch can fail. Faults are raised on purpose."""

import pytest
import torch
from torch import Tensor

from handlers.runtime.device import Placement
from handlers.runtime.engine import Engine, Output
from handlers.runtime.errors import InsufficientMemory, InternalError, Unavailable
from handlers.runtime.outcome import Outcome

CPU = Placement(torch.device("cpu"), torch.float32)


class Network:
    """Doubles its input, but fails as its settings say; counts the sizes of its batches."""

    def __init__(self, fits: int = 99, error: Exception | None = None, bad: float = -1) -> None:
        self.fits = fits
        self.error = error
        self.bad = bad
        self.batches: list[int] = []

    def __call__(self, batch: Tensor) -> Output:
        self.batches.append(len(batch))
        if len(batch) > self.fits:
            raise torch.OutOfMemoryError
        if self.error is not None and (batch == self.bad).any():
            raise self.error
        return batch * 2


def items(*values: float) -> list[Tensor]:
    return [torch.full((1, 2, 2), float(value)) for value in values]


def doubled(outcomes: list[Outcome]) -> list[float]:
    return [float(outcome.get().flatten()[0]) for outcome in outcomes]


def test_requests_of_one_shape_run_as_one_batch_in_their_order() -> None:
    network = Network()
    mixed = [*items(1, 2), torch.full((1, 4, 4), 3.0), *items(4)]
    results = Engine(network, CPU, 8).run(mixed)
    assert doubled(results) == [2, 4, 6, 8]
    assert [result.output.shape for result in results] == [item.shape for item in mixed]
    assert sorted(network.batches) == [1, 3]


def test_a_request_of_several_items_gets_them_back_together() -> None:
    network = Network()
    several = torch.stack(items(5, 6, 7))
    results = Engine(network, CPU, 2).run([several, *items(8)])
    assert torch.equal(results[0].output, several * 2)
    assert doubled(results[1:]) == [16]
    assert network.batches == [2, 2]


def test_out_of_memory_halves_until_it_fits() -> None:
    network = Network(fits=2)
    assert doubled(Engine(network, CPU, 8).run(items(*range(8)))) == [2.0 * i for i in range(8)]
    assert network.batches == [8, 4, 2, 2, 4, 2, 2]


def test_what_does_not_fit_alone_is_told_so() -> None:
    results = Engine(Network(fits=0), CPU, 4).run(items(1, 2))
    assert all(isinstance(result.error, InsufficientMemory) for result in results)


@pytest.mark.parametrize("error", [ValueError("odd"), RuntimeError("shape"), MemoryError()])
def test_one_bad_item_fails_alone(error: Exception) -> None:
    network = Network(error=error, bad=3)
    results = Engine(network, CPU, 8).run(items(1, 2, 3, 4))
    kind = InsufficientMemory if isinstance(error, MemoryError) else InternalError
    assert isinstance(results.pop(2).error, kind)
    assert doubled(results) == [2, 4, 8]


def test_a_real_shortage_of_memory_is_recognised() -> None:
    def greedy(batch: Tensor) -> Tensor:
        return torch.empty(1 << 60, dtype=torch.uint8)

    assert isinstance(Engine(greedy, CPU, 1).run(items(1))[0].error, InsufficientMemory)


def test_a_lost_device_ends_all_work() -> None:
    network = Network(error=torch.AcceleratorError("gone"), bad=2)
    engine = Engine(network, CPU, 1)
    results = engine.run(items(1, 2, 3))
    assert engine.poisoned
    assert doubled(results[:1]) == [2]
    assert all(isinstance(result.error, Unavailable) for result in results[1:])
    assert network.batches == [1, 1]


class Gpu(Placement):
    """A GPU that computes on the CPU."""

    def batch(self, items: list[Tensor]) -> Tensor:
        return torch.stack(items).to(self.dtype)


def gpu(monkeypatch: pytest.MonkeyPatch, *, broken: bool = False) -> tuple[Gpu, list[str]]:
    """Return such a GPU, and what it was asked after errors; a broken one fails at that."""
    calls: list[str] = []

    def empty_cache() -> None:
        calls.append("empty_cache")
        if broken:
            raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: calls.append("synchronize"))
    monkeypatch.setattr(torch.cuda, "empty_cache", empty_cache)
    return Gpu(torch.device("cuda", 0), torch.float32), calls


def test_out_of_memory_gives_back_what_is_kept_and_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    placement, calls = gpu(monkeypatch)
    network = Network(fits=2)
    results = Engine(network, placement, 8).run(items(1, 2, 3, 4))
    assert doubled(results) == [2, 4, 6, 8]
    assert network.batches == [4, 2, 2]
    assert calls == ["synchronize", "empty_cache"]


def test_a_cache_that_cannot_be_emptied_is_a_lost_device(monkeypatch: pytest.MonkeyPatch) -> None:
    placement, _ = gpu(monkeypatch, broken=True)
    network = Network(fits=2)
    engine = Engine(network, placement, 8)
    results = engine.run(items(1, 2, 3, 4))
    assert engine.poisoned
    assert all(isinstance(result.error, Unavailable) for result in results)
    assert network.batches == [4]


def test_a_lost_device_says_so_whatever_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    placement, _ = gpu(monkeypatch, broken=True)
    engine = Engine(Network(error=ValueError("odd"), bad=1), placement, 1)
    (result,) = engine.run(items(1))
    assert engine.poisoned
    assert isinstance(result.error, Unavailable)
    assert "odd" in result.error.reason


def test_memory_that_pytorch_kept_from_a_library_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    placement, calls = gpu(monkeypatch)
    failures = ["CUDNN_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", ""]

    def network(batch: Tensor) -> Tensor:
        failure = failures.pop(0)
        if failure:
            raise RuntimeError(failure)
        return batch * 2

    engine = Engine(network, placement, 1)
    first, second = engine.run(items(1))[0], engine.run(items(2))[0]
    assert isinstance(first.error, InsufficientMemory)
    assert doubled([second]) == [4]
    assert calls == ["synchronize", "empty_cache"] * 2


@pytest.mark.parametrize(("dtype", "name"), [(torch.float16, "fp16"), (torch.bfloat16, "bf16")])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_half_precision_that_overflows_fails_its_item(
    dtype: torch.dtype, name: str, value: float
) -> None:
    def network(batch: Tensor) -> Output:
        return {"scores": torch.where(batch == 3, value, batch * 2), "count": batch.int()}

    half = Placement(torch.device("cpu"), dtype)
    bad, good = Engine(network, half, 8).run(items(3, 4))
    assert isinstance(bad.error, InternalError)
    assert f"runs in {name}" in bad.error.message
    assert "marquee.precision" in bad.error.message
    assert float(good.get()["scores"][0, 0, 0]) == 8
    (single,) = Engine(network, CPU, 8).run(items(3))
    assert not single.get()["scores"].isfinite().any()


def test_outputs_of_several_tensors_are_split_and_joined() -> None:
    def network(batch: Tensor) -> Output:
        return {"twice": batch * 2, "parts": (batch, [batch.sum(dim=(1, 2, 3)).int()])}

    several = torch.stack(items(1, 2))
    of_one, of_two = (one.get() for one in Engine(network, CPU, 8).run([*items(3), several]))
    assert of_one["parts"][1][0].tolist() == 12
    assert of_two["twice"].shape == (2, 1, 2, 2)
    assert of_two["parts"][1][0].tolist() == [4, 8]


def test_results_come_back_as_float32() -> None:
    half = Placement(torch.device("cpu"), torch.bfloat16)
    seen: list[torch.dtype] = []

    def network(batch: Tensor) -> Tensor:
        seen.append(batch.dtype)
        return batch

    (result,) = Engine(network, half, 1).run(items(1))
    assert seen == [torch.bfloat16]
    assert result.output.dtype == torch.float32


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), InsufficientMemory),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), InsufficientMemory),
        (ValueError("odd"), InternalError),
    ],
)
def test_outputs_that_cannot_be_put_together_fail_their_request_only(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    stack = torch.stack

    def scarce(tensors: list[Tensor]) -> Tensor:
        if float(tensors[0].flatten()[0]) == 10:  # an output: five, doubled
            raise error
        return stack(tensors)

    several = stack(items(5, 6))
    monkeypatch.setattr(torch, "stack", scarce)
    results = Engine(Network(), CPU, 2).run([several, *items(8)])
    assert isinstance(results[0].error, kind)
    assert doubled(results[1:]) == [16]
