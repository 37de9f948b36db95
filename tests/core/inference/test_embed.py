"""Texts as vectors."""

import pytest
import torch

from aios_core.contracts import Vocabulary
from aios_core.diffusion.model import Model
from aios_core.inference.embed import embed
from aios_core.testing.modules import stir
from aios_plugins.backbones.transformer import Transformer
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.heads.text import Text
from aios_plugins.noise.loglinear import LogLinear


def test_vectors_are_means_of_clean_states():
    """At time 0, which is that of a text without noise, and of its own tokens alone."""
    vocabulary = Vocabulary(size=9, mask_id=5, pad_id=6, bos_id=7, eos_id=8)
    backbone = Transformer(dim=8, layers=1, heads=2, time_conditioned=True)
    model = stir(Model(Text(), backbone, LogLinear(), Absorbing(), vocabulary, length=8)).eval()
    states = model.states(torch.tensor([[1, 2, 3]]), torch.zeros(1).double())[0]
    right = torch.nn.functional.normalize(states.mean(0), dim=0).tolist()
    result = embed(model, [[1, 2, 3], [4, 4, 4, 4, 4]])

    assert right == pytest.approx(result[0].tolist(), abs=1e-5)
    noisy = model.states(torch.tensor([[1, 2, 3]]), torch.ones(1).double())[0].mean(0)
    assert right != pytest.approx(torch.nn.functional.normalize(noisy, dim=0).tolist(), abs=1e-3)
