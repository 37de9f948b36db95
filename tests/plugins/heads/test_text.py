"""The head of text models."""

import math

import torch
from torch.nn.functional import cross_entropy

from aios_core.testing.contracts.head import DIM, VOCABULARY, HeadContract
from aios_plugins.heads.text import Text


class TestUntied(HeadContract):
    component = Text(tied=False)


def test_tied_head_has_one_matrix():
    tied, untied = (
        sum(p.numel() for p in Text(tied=tied).build(DIM, VOCABULARY).parameters())
        for tied in (True, False)
    )
    assert 13 * DIM + DIM == tied
    assert 2 * 13 * DIM + DIM == untied


def test_first_loss_is_that_of_a_uniform_guess():
    torch.manual_seed(0)
    module = Text().build(64, VOCABULARY)
    logits = module.decode(torch.randn(8, 32, 64))
    loss = cross_entropy(logits.flatten(0, 1), torch.randint(13, (8 * 32,)))
    assert abs(loss.item() - math.log(13)) < 0.1
