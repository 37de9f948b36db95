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


@torch.no_grad()
def test_states_are_as_long_as_those_of_a_network_and_logits_are_of_their_direction():
    """An embedding of 0.02 times the root of the width; what is decoded is normalised."""
    torch.manual_seed(0)
    module = Text(tied=False).build(400, VOCABULARY)
    x = torch.tensor([[0, 5, 12]])

    torch.testing.assert_close(module.encode(x), 20 * module.embedding.weight[x])
    for weight in (module.embedding.weight, module.linear.weight):
        assert abs(float(weight.std()) - 0.02) < 0.002
    h = torch.randn(1, 3, 400)
    unit = h / h.square().mean(-1, keepdim=True).sqrt()
    torch.testing.assert_close(module.decode(h), unit @ module.linear.weight.T)
    torch.testing.assert_close(module.decode(h), module.decode(3 * h))
