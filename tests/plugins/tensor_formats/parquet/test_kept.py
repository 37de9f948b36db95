"""Files that an earlier version wrote are read by this one, and all of them are fuzzed."""

import pytest
import torch

from aios_core.contracts import QuantizedTensor
from aios_core.quantization.operator import reader
from aios_plugins.tensor_formats.parquet.loader import WeightLoader
from aios_plugins.tensor_formats.parquet.verify import faults

from .kept import CARD, CORPUS, POWERS, WEIGHT, models
from .test_loader import assert_same


def loss(tensor, powers):
    back = torch.ldexp(reader(tensor.method).dequantize(tensor), -powers)
    return float((back - WEIGHT).square().sum() / WEIGHT.square().sum())


@pytest.mark.parametrize("name", sorted(models()))
def test_a_kept_file_is_what_was_written(name):
    path, expected = CORPUS / f"{name}.parquet", models()[name]
    loader = WeightLoader.open(path)

    assert CARD == loader.card
    assert list(expected) == list(loader)
    assert not list(faults(path))
    for key, tensor in expected.items():
        if isinstance(tensor, QuantizedTensor):
            powers = POWERS if name == "sizes" else torch.zeros(1)
            assert pytest.approx(loss(tensor, powers), rel=0.02) == loss(loader[key], powers)
        else:
            assert_same(tensor, loader[key])
