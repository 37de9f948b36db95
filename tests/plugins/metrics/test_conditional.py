"""The bound for a part of a text, given the rest of it."""

import math

import pytest
import torch

from aios_core.diffusion.times import draw_times
from aios_core.testing.oracle import Oracle, ignorant
from aios_plugins.metrics.memory import conditional_nelbo
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.loglinear import LogLinear

ROWS = 40_000


@pytest.mark.parametrize("noise", [LogLinear(eps=0.0), Cosine()])
def test_a_perfect_prediction_gives_the_conditional_likelihood(noise):
    """T1: -log p(free | rest), whatever the schedule."""
    oracle = Oracle(length=3)
    text, free = oracle.texts[17], torch.tensor([False, True, True])
    source = torch.Generator().manual_seed(0)
    x0 = text.expand(ROWS, -1)
    draws = conditional_nelbo(
        oracle.model(noise),
        x0,
        torch.ones_like(x0, dtype=torch.bool),
        draw_times(ROWS, source, epsilon=1e-6),
        source,
        free=free.expand(ROWS, -1),
    )
    same = (oracle.texts[:, 0] == text[0]).double()
    expected = float((oracle.log_joint.exp() * same).sum().log() - oracle.log_joint[17])
    error = float(draws.std()) / math.sqrt(ROWS)
    assert abs(float(draws.mean()) - expected) < 4 * error


def test_what_is_given_or_padded_is_neither_hidden_nor_counted():
    """T6, T14: of a model that knows nothing it is as many ln V as tokens are free."""
    model, seen = ignorant(LogLinear(), vocab=3, length=4), []
    encode = model.head.encode
    model.head.encode = lambda x: seen.append(x) or encode(x)
    source = torch.Generator().manual_seed(0)
    x0 = torch.tensor([0, 1, 2, 0]).expand(ROWS, -1)
    free = torch.tensor([False, True, True, True]).expand(ROWS, -1)
    valid = torch.tensor([True, True, True, False]).expand(ROWS, -1)
    draws = conditional_nelbo(model, x0, valid, draw_times(ROWS, source), source, free=free)
    assert torch.equal(x0[:, [0, 3]], seen[0][:, [0, 3]])
    assert (seen[0][:, 1:3] == 3).any()
    error = float(draws.std()) / math.sqrt(ROWS)
    assert abs(float(draws.mean()) - 2 * math.log(3)) < 4 * error + 2e-3 * 2 * math.log(3)
