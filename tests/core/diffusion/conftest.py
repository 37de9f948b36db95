"""Small models for the tests of diffusion."""

import pytest
import torch

from aios_core.contracts import Vocabulary
from aios_core.diffusion.model import Model
from aios_core.testing.modules import stir
from aios_plugins.backbones.transformer import Transformer
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.heads.text import Text
from aios_plugins.noise.loglinear import LogLinear

VOCABULARY = Vocabulary(size=7, mask_id=3, pad_id=4, bos_id=5, eos_id=6)


@pytest.fixture
def small_model():
    """Build a model with lively random weights, in float64 so that sums are exact."""

    def build(
        mode="diffusion",
        *,
        noise=None,
        corruption=None,
        block_size=None,
        dtype=torch.float64,
        **settings,
    ):
        torch.manual_seed(0)
        backbone = Transformer(**{"dim": 8, "layers": 1, "heads": 2, **settings})
        noise, corruption = noise or LogLinear(), corruption or Absorbing()
        parts = Text(), backbone, noise, corruption, VOCABULARY
        model = Model(*parts, mode=mode, length=4, block_size=block_size)
        return stir(model.to(dtype))

    return build
