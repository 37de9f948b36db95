"""Estimators, and the levels of masks that they look at."""

import math
from itertools import pairwise

import attrs
import numpy as np
import pytest
import torch

from aios_core.contracts import MaskLevel, Sequences, Vocabulary
from aios_core.diffusion.model import Model
from aios_core.errors import InferenceError
from aios_core.registry import Registry
from aios_core.testing.modules import stir
from aios_plugins._uncertainty.estimators import RATES, estimator, estimators, read, scores
from aios_plugins.backbones.transformer import Transformer
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.heads.text import Text
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.loglinear import LogLinear

ESTIMATORS = estimators(Registry.discover())


def whole(ids):
    return Sequences(ids, torch.ones_like(ids, dtype=torch.bool))


def level(probabilities, tokens, before=None, rate=0.5):
    probs = torch.tensor(probabilities)
    hidden = torch.tensor([[True] * len(tokens)])
    said = None if before is None else torch.tensor(before)
    return MaskLevel(rate, hidden, torch.tensor(tokens), probs.log(), said)


def test_equal_texts_are_read_alike_wherever_they_stand(model):
    """In any row of any batch, padded or not."""
    ids = torch.tensor([[97, 98, 99, 100, 0, 0], [101] * 6, [97, 98, 99, 100, 0, 0]])
    valid = torch.tensor([[True] * 4 + [False] * 2, [True] * 6, [True] * 4 + [False] * 2])
    together = list(read(model, Sequences(ids, valid), seed=3))
    alone = list(read(model, Sequences(ids[:1, :4], valid[:1, :4]), seed=3))

    for each, level in zip(alone, together, strict=True):
        assert torch.equal(level.hidden[0], level.hidden[2])
        assert torch.equal(each.hidden[0], level.hidden[0, :4])


def test_estimators_by_hand():
    single = level([[0.5, 0.5, 0.0], [0.7, 0.2, 0.1]], [0, 2], before=[0, 1])
    measured = {name: estimator.measure(single).tolist() for name, estimator in ESTIMATORS.items()}

    bits = [math.log(2), -sum(p * math.log(p) for p in (0.7, 0.2, 0.1))]
    assert pytest.approx(bits, abs=1e-6) == measured["entropy"]
    assert pytest.approx([1, 0.5], abs=1e-6) == measured["margin"]
    assert pytest.approx([1, 1.8], abs=1e-6) == measured["residual"]
    assert [0, 1] == measured["flips"]
    first = attrs.evolve(single, before=None)
    assert [0, 0] == ESTIMATORS["flips"].measure(first).tolist()


def test_means_are_of_what_counts_row_by_row():
    hidden = torch.tensor([[True, False, True], [False, True, False]])
    first = MaskLevel(0.5, hidden, torch.zeros(3, dtype=torch.int64), torch.zeros(3, 2), None)
    values = torch.tensor([1.0, 3.0, 5.0])

    assert [2, 5] == first.mean(values).tolist()
    counted = torch.tensor([[False, True, True], [True, True, True]])
    assert [3, 5] == first.mean(values, counted).tolist()


def test_what_is_hidden_less_is_hidden_more(model):
    ids = torch.randint(97, 120, (4, 16))
    levels = list(read(model, whole(ids)))

    assert list(RATES) == [level.rate for level in levels]
    for more, less in pairwise(levels):
        assert not (less.hidden & ~more.hidden).any()
    for level in levels:
        assert level.hidden.any(-1).all()
        assert torch.equal(ids[level.hidden], level.tokens)
        assert torch.isinf(level.log_probs[:, model.vocabulary.mask_id]).all()


def test_a_row_is_read_alone_as_in_a_batch_and_padding_is_nothing(model):
    ids = torch.randint(97, 120, (3, 16))
    valid = torch.ones_like(ids, dtype=torch.bool)
    valid[0, 9:] = False
    together = scores(read(model, Sequences(ids, valid), seed=4), ESTIMATORS)
    alone = scores(read(model, Sequences(ids[:1], valid[:1]), seed=4), ESTIMATORS)

    for name in ESTIMATORS:
        assert np.allclose(together[name][0], alone[name][0], atol=1e-5), name
    changed = torch.where(valid, ids, 5)
    again = scores(read(model, Sequences(changed, valid), seed=4), ESTIMATORS)
    assert all(np.allclose(together[name], again[name], atol=1e-5) for name in ESTIMATORS)


@pytest.mark.parametrize("noise", [LogLinear(), Cosine()], ids=["loglinear", "cosine"])
def test_a_network_hears_the_time_of_as_many_masks_as_it_sees(noise):
    """Under every schedule: of each reading, and so of what is said at it."""
    backbone = Transformer(dim=8, layers=1, heads=2, time_conditioned=True)
    vocabulary = Vocabulary(size=7, mask_id=3, pad_id=4, bos_id=5, eos_id=6)
    timed = stir(Model(Text(), backbone, noise, Absorbing(), vocabulary, length=400).eval())
    reports = []
    timed.backbone.register_forward_pre_hook(lambda _, given: reports.append(given[1]))
    ids = torch.randint(0, 3, (4, 400), generator=torch.Generator().manual_seed(0))
    for each in read(timed, whole(ids)):
        x = torch.where(each.hidden, vocabulary.mask_id, ids)
        share = timed.noise.mask_rate(reports[-1].double())

        torch.testing.assert_close(each.hidden.double().mean(1), share, atol=0.1, rtol=0)
        expected = timed.log_probs(timed.states(x, reports[-1]))[each.hidden]
        torch.testing.assert_close(expected, each.log_probs)


def test_something_is_said_of_what_counts_at_every_level(model):
    """However few tokens of a row do, where they stand, and beside padding."""
    ids = torch.randint(97, 120, (16, 16), generator=torch.Generator().manual_seed(1))
    valid = torch.ones_like(ids, dtype=torch.bool)
    valid[::2, 9:] = False
    counted = torch.nn.functional.one_hot(torch.arange(16) % 9, 16).bool()
    levels = list(read(model, Sequences(ids, valid), counted=counted))

    for level in levels:
        assert level.hidden[counted].all()
        assert not (level.hidden & ~valid).any()
        there = level.hidden.nonzero()[:, 1] == level.hidden.nonzero()[:, 0] % 9
        assert torch.equal(-level.said[there].double(), level.mean(-level.said, counted))
    for more, less in pairwise(levels):
        assert not (less.hidden & ~more.hidden).any()


SURPRISE = """
import aios_core
from attrs import frozen
from aios_core.contracts import UncertaintyEstimator

AIOS_API = 1

@frozen
class Surprise(UncertaintyEstimator):
    def measure(self, level):
        return -level.said

@frozen
class Needy(Surprise):
    scale: float

@aios_core.hookimpl
def aios_uncertainty_estimators():
    return {"surprise": Surprise, "needy": Needy, "gone": "no_such_module:Gone"}
"""


def test_a_third_party_s_estimator_measures_beside_ours(model, tmp_plugin, caplog):
    """One that cannot be used is left out with a reason, and is refused where it is asked for."""
    tmp_plugin(SURPRISE, module="surprise")
    registry = Registry.discover()
    offered = estimators(registry)
    ids = torch.randint(97, 120, (3, 16), generator=torch.Generator().manual_seed(2))
    valid = torch.ones_like(ids, dtype=torch.bool)
    ours, all_of_them = (
        scores(read(model, Sequences(ids, valid), seed=4), each) for each in (ESTIMATORS, offered)
    )

    assert {*ESTIMATORS, "surprise"} == set(offered)
    assert "needy" in caplog.text
    assert "no_such_module is gone" in caplog.text
    assert all(np.array_equal(ours[name], all_of_them[name]) for name in ours)
    assert (3, len(RATES)) == all_of_them["surprise"].shape
    with pytest.raises(InferenceError, match=r"'gone' cannot be used: .*no_such_module is gone"):
        estimator(registry, "gone")
    with pytest.raises(InferenceError, match=r"'guess' is unknown; expected one of .*'surprise'"):
        estimator(registry, "guess")
