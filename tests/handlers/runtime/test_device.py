import torch
from torch import nn

from handlers.runtime.device import place


def test_the_usual_layout_is_channels_last() -> None:
    placement = place(None, "fp32")
    network = placement.network(nn.Conv2d(3, 4, 3))
    (weight, _) = network.parameters()
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert placement.batch([torch.rand(3, 5, 6)]).is_contiguous(memory_format=torch.channels_last)


def test_a_network_that_has_its_layout_is_not_copied() -> None:
    placement = place(None, "fp32", torch.contiguous_format)
    network = nn.Conv2d(3, 4, 3)
    before = network.weight.data_ptr()
    placement.network(network)
    assert network.weight.data_ptr() == before
    assert placement.batch([torch.rand(3, 5, 6)]).is_contiguous()
