"""SUBS, and the model as samplers see it."""

import pytest
import torch
from hypothesis import given, settings

from aios_core.contracts import Condition
from aios_core.contracts.denoising import ask
from aios_core.diffusion import chunking
from aios_core.diffusion.denoiser import substitute
from aios_core.testing.strategies import states


@settings(deadline=None)
@given(states(vocab=3))
def test_substitution(x):
    """T13: no mask, no change of what is known, and a distribution everywhere."""
    logits = torch.randn(*x.shape, 6)
    out = substitute(logits.clone(), x, 3, torch.float64)
    torch.testing.assert_close(out.exp().sum(-1), torch.ones(x.shape).double())
    known = x != 3
    assert torch.equal(x[known], out[known].argmax(-1))
    assert (out[known].amax(-1) == 0).all()
    assert (out[~known][:, 3] == -torch.inf).all()
    logits[..., 3] = -torch.inf
    torch.testing.assert_close(out[~known], logits[~known].double().log_softmax(-1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_raised_before_normalising(dtype):
    """T8: the logits are rounded once, when the network made them, and never again."""
    logits = torch.linspace(-4, 4, 50_000).view(1, 1, -1).to(dtype)
    x = torch.tensor([[7]])
    expected = logits.double()
    expected[..., 7] = -torch.inf
    out = substitute(logits.clone(), x, 7, torch.float64)
    torch.testing.assert_close(out, expected.log_softmax(-1))
    single = substitute(logits.clone(), x, 7, torch.float32)
    assert pytest.approx(1, abs=1e-5) == float(single.double().exp().sum())
    rounded = expected.to(dtype).log_softmax(-1).double()
    assert (rounded - out)[expected.isfinite()].abs().max() > 1e-3


def test_certainty_is_no_nan():
    """T8: where one token is left, or the logits are as far apart as float16 allows."""
    logits = torch.full((1, 2, 3), -65504.0).half()
    logits[0, 0, 1] = 65504.0
    out = substitute(logits, torch.tensor([[2, 0]]), 2, torch.float64)
    expected = [[[-2 * 65504.0, 0.0, -torch.inf], [0.0, -torch.inf, -torch.inf]]]
    assert expected == out.tolist()


def test_denoiser_counts_its_calls(small_model):
    denoiser = small_model().denoiser()
    x = torch.tensor([[3, 0, 3]])
    for _ in range(3):
        denoiser(x, torch.tensor([0.5]).double())
    assert 3 == denoiser.nfe
    assert not denoiser.time_conditioned


def test_denoiser_switches_dropout_off(small_model):
    model = small_model(dropout=0.5).train()
    denoiser = model.denoiser()
    x, t = torch.full((1, 4), 3), torch.tensor([0.5]).double()
    assert torch.equal(denoiser(x, t), denoiser(x, t))


def test_denoiser_passes_the_time(small_model):
    denoiser = small_model(time_conditioned=True).denoiser()
    assert denoiser.time_conditioned
    x = torch.full((1, 4), 3)
    early, late = (denoiser(x, torch.tensor([t]).double()) for t in (0.1, 0.9))
    assert not torch.equal(early, late)


def test_denoiser_passes_the_condition(small_model):
    x = torch.tensor([[3, 0, 3, 1]])
    t = torch.tensor([0.5]).double()
    condition = Condition(valid=torch.tensor([[True, True, True, False]]))
    denoiser = small_model().denoiser(condition)
    other = torch.where(torch.arange(4) == 3, 2, x)
    torch.testing.assert_close(denoiser(x, t)[:, :3], denoiser(other, t)[:, :3])


def test_dtype_of_the_answer(small_model):
    x, t = torch.full((1, 4), 3), torch.tensor([0.5]).double()
    for dtype in (torch.float32, torch.float64):
        assert dtype == small_model(dtype=torch.bfloat16).denoiser(dtype=dtype)(x, t).dtype


def test_default_dtype_is_single_or_finer(small_model):
    x, t = torch.full((1, 4), 3), torch.tensor([0.5]).double()
    for dtype, expected in (
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ):
        assert expected == small_model(dtype=dtype).denoiser()(x, t).dtype


@pytest.mark.parametrize("entries", [1, 15, 2**22])
def test_pieces_are_the_whole(small_model, monkeypatch, entries):
    """Decoded a piece at a time and only at masks: what substitution makes of all logits."""
    monkeypatch.setattr(chunking, "_ENTRIES", entries)
    model = small_model()
    x, t = torch.tensor([[3, 0, 3, 1], [3, 3, 3, 3], [1, 2, 0, 1]]), torch.ones(3).double()
    expected = substitute(model(x, t), x, 3, torch.float64)
    torch.testing.assert_close(model.denoiser()(x, t), expected)


def test_part_is_part_of_the_whole(small_model):
    denoiser = small_model().denoiser()
    x, t = torch.tensor([[3, 0, 3, 1], [3, 3, 3, 3]]), torch.ones(2).double()
    whole = denoiser(x, t)
    torch.testing.assert_close(ask(denoiser, x, t, 1, 3), whole[:, 1:3])
    torch.testing.assert_close(ask(lambda x, t: whole, x, t, 1, 3), whole[:, 1:3])
