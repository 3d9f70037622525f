"""Several inputs in one call: only where the answers stay the same."""

from typing import Any

import pytest
import torch
from torch import Tensor

from handlers.script.stack import Stacker


class Counting:
    """Calls a function and keeps the sizes of what it was given."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.sizes: list[Any] = []

    def __call__(self, data: Any) -> Any:
        self.sizes.append(len(data))
        return self.function(data)


def rows(*values: float, count: int = 1) -> list[Tensor]:
    return [torch.full((count, 2), float(value)) for value in values]


def test_rows_go_together_and_come_apart_in_their_order() -> None:
    predict = Counting(lambda data: data * 2)
    inputs = [*rows(1, 2), *rows(3, count=3), torch.full((1, 5), 4.0), *rows(5)]
    outputs = Stacker(predict, 64).run(inputs)
    for given, output in zip(inputs, outputs, strict=True):
        assert torch.equal(output.get(), given * 2)
    # One call for all of one shape, one more to check it, and the odd one.
    assert sorted(predict.sizes) == [1, 1, 6]


def test_once_checked_there_is_one_call_only() -> None:
    predict = Counting(lambda data: data * 2)
    stacker = Stacker(predict, 64)
    stacker.run(rows(1, 2))
    predict.sizes.clear()
    stacker.run(rows(*range(8)))
    assert predict.sizes == [8]


def test_at_most_so_many_rows() -> None:
    predict = Counting(lambda data: data)
    stacker = Stacker(predict, 4)
    stacker.run(rows(1, 2))
    predict.sizes.clear()
    stacker.run(rows(*range(10)))
    assert predict.sizes == [4, 4, 2]


@pytest.mark.parametrize(
    "function",
    [
        lambda data: data - data.mean(0),  # mixes the rows
        lambda data: data.softmax(0),
        lambda data: data.sum(),  # one number for all
        lambda data: data.flatten(),  # one dimension for all
        lambda data: {"rows": len(data), "data": data},  # counts them
        lambda data: data[:1] if len(data) > 1 else data,
        lambda data: data.tolist(),  # no tensor to take apart
    ],
)
def test_a_model_that_mixes_its_rows_gets_them_one_by_one(function: Any) -> None:
    predict = Counting(function)
    stacker = Stacker(predict, 64)
    inputs = rows(1, 2, 7)
    alone = [function(data) for data in inputs]
    for _ in range(2):
        outputs = stacker.run(inputs)
        assert [str(output.get()) for output in outputs] == [str(output) for output in alone]
    assert predict.sizes[-3:] == [1, 1, 1]


def test_outputs_of_several_tensors_come_apart() -> None:
    stacker = Stacker(lambda data: {"a": data, "b": [data * 2, (data > 1).int()]}, 64)
    for _ in range(2):
        outputs = stacker.run(rows(1, 2))
        assert torch.equal(outputs[1].get()["b"][0], torch.full((1, 2), 4.0))
        assert outputs[0].get()["b"][1].tolist() == [[0, 0]]


def test_a_bad_input_fails_alone_and_changes_nothing() -> None:
    def function(data: Tensor) -> Tensor:
        if (data == 3).any():
            raise ValueError("three")
        return data

    predict = Counting(function)
    stacker = Stacker(predict, 64)
    stacker.run(rows(1, 2))
    outputs = stacker.run(rows(1, 3, 5))
    assert isinstance(outputs[1].error, ValueError)
    assert [float(outputs[i].get().mean()) for i in (0, 2)] == [1, 5]
    predict.sizes.clear()
    stacker.run(rows(1, 2))
    assert predict.sizes == [2]


def test_what_is_no_batch_goes_alone() -> None:
    predict = Counting(lambda data: data)
    Stacker(predict, 64).run([torch.ones(3), torch.ones(3), "ab", [1], torch.ones(0, 2)])
    assert predict.sizes == [3, 3, 2, 1, 0]


def test_a_script_that_exits_is_an_outcome() -> None:
    def leave(data: Tensor) -> Tensor:
        raise SystemExit(3)

    [outcome] = Stacker(leave, 64).run(rows(1))
    assert isinstance(outcome.error, SystemExit)
