"""Small models for the tests of diffusion."""

import pytest
import torch

from aios_core.contracts import Sequences, Vocabulary
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import estimate
from aios_core.diffusion.random import RowRandom
from aios_core.testing.modules import stir
from aios_plugins.backbones.transformer import Transformer
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.heads.text import Text
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.objectives.d3pm import D3PM
from aios_plugins.objectives.exact_count import ExactCount
from aios_plugins.objectives.score_entropy import ScoreEntropy

VOCABULARY = Vocabulary(size=7, mask_id=3, pad_id=4, bos_id=5, eos_id=6)


def whole(x, valid=None):
    """Texts of which all that is valid is learned."""
    return Sequences(x, torch.ones_like(x, dtype=torch.bool) if valid is None else valid)


def streams(x, seed=0):
    """Random numbers for the rows of a batch."""
    return RowRandom.numbered(seed, range(len(x)), x.shape[1])


def nelbo_exact_count(model, sequences, times, random):
    """As many masks as each time says."""
    return estimate(model, sequences, times, random, objective=ExactCount())


def nelbo_discrete(model, sequences, times, random, *, steps):
    """The bound of so many steps."""
    return estimate(model, sequences, times, random, objective=D3PM(steps=steps))


def score_entropy(model, sequences, times, random):
    """That of SEDD."""
    return estimate(model, sequences, times, random, objective=ScoreEntropy())


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
