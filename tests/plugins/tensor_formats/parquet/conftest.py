"""Small weight files, one quantized tensor among them."""

import pytest
import torch

from aios_core.testing.contracts.tensor_format import packed
from aios_plugins.tensor_formats.parquet.writer import WeightWriter


@pytest.fixture(scope="session")
def tensors():
    generator = torch.Generator().manual_seed(0)
    plain = torch.randn(7, 5, generator=generator)
    return {
        "layers.0.weight": plain,
        "layers.0.half": plain.half(),
        "layers.0.bfloat": plain.bfloat16(),
        "layers.0.double": plain.double().T,  # not contiguous
        "float8": plain.to(torch.float8_e4m3fn),
        "other float8": plain.to(torch.float8_e5m2),
        "ids": torch.arange(-3, 3),
        "flags": torch.tensor([True, False, True]),
        "step": torch.tensor(7, dtype=torch.int32),
        "none": torch.empty(0, 4),
        "packed": packed(),
    }


@pytest.fixture(scope="session")
def write(tmp_path_factory):
    def write(tensors, name="model.parquet", **options):
        path = tmp_path_factory.mktemp("weights") / name
        with WeightWriter(path, {"license": "none", "by": "«test»"}, **options) as file:
            for key, tensor in tensors.items():
                file.add(key, tensor)
        return path

    return write


@pytest.fixture(scope="session")
def path(write, tensors):
    return write(tensors)
