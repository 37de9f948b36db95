"""Hybrid noise against the published formulas; the contract suite does the rest."""

import pytest
import torch

from aios_core.contracts import Vocabulary
from aios_core.diffusion.process import DiscreteProcess
from aios_plugins.corruptions.hybrid import Hybrid

VOCABULARY = Vocabulary(size=5, mask_id=4, pad_id=0, bos_id=0, eos_id=0)


def test_hybrid_is_gidd():
    """Shares (1 - t) : t : B sqrt(t (1 - t)) of clean, mask and uniform, B = 2 p / (1 - p)."""
    t = torch.linspace(0.001, 0.999, 99).double()
    b = 2 * 0.2 / 0.8 * (t * (1 - t)).sqrt()
    mass = DiscreteProcess(Hybrid(uniform=0.2), VOCABULARY).mass((1 - t) / (1 + b))
    torch.testing.assert_close(mass[:, -1], t / (1 + b))
    torch.testing.assert_close(mass[:, :-1], (b / (1 + b))[:, None].expand(-1, 4) / 4)
    half = DiscreteProcess(Hybrid(uniform=0.2), VOCABULARY).mass(torch.tensor(0.4).double())
    assert pytest.approx(0.2) == float(half[:-1].sum()), (
        "at t = 1/2 the share is what was asked for"
    )
