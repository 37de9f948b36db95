"""The loop around a sampler."""

from itertools import pairwise

import attrs
import pytest
import torch

from aios_core.contracts import Sampler
from aios_core.diffusion.core import GIVEN, MASKED, DiffusionCore
from aios_core.errors import InferenceError
from aios_core.testing.oracle import Oracle
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.corruptions.uniform import Uniform
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.confidence import Confidence
from aios_plugins.samplers.first_hitting import FirstHitting

SAMPLERS = [Ancestral(steps=6), Confidence(steps=3), FirstHitting()]


def core(model, sampler=SAMPLERS[0], mask_id=3, **settings):
    return DiffusionCore(model, sampler, LogLinear(), mask_id, **settings)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_states_tell_the_story(sampler):
    """Each state says what is new, and the last one is the result."""
    oracle = Oracle()
    x = oracle.prior(4)
    x[0, 1:3] = 1
    seen = []
    result = core(oracle, sampler).sample(x, seeds=range(4), callback=seen.append)
    assert list(range(len(seen))) == [state.step for state in seen]
    assert torch.equal(x, seen[0].ids)
    assert not seen[0].committed.any()
    assert 0 == seen[0].nfe
    for before, after in pairwise(seen):
        assert torch.equal(before.ids != after.ids, after.committed)
        assert (after.committed_at[after.committed] == after.step).all()
        assert before.nfe <= after.nfe <= before.nfe + 1
        masked = after.ids == oracle.mask_id
        assert torch.equal(masked, after.committed_at == MASKED)
        assert (after.confidence[masked] == 0).all()
        # The probability in the state before, for the time changes nothing here.
        p = oracle(before.ids, torch.zeros(4)).gather(-1, after.ids[..., None])[..., 0].exp()
        torch.testing.assert_close(after.confidence[after.committed], p[after.committed])
    assert torch.equal(seen[-1].ids, result.ids)
    assert seen[-1].nfe == result.nfe
    assert (result.committed_at[0, 1:3] == GIVEN).all()
    assert (result.confidence[0, 1:3] == 1).all()
    assert (result.committed_at[1:] > GIVEN).all()
    assert ((result.confidence > 0) & (result.confidence <= 1)).all()


def test_confidence_is_not_tempered():
    """T9: what is reported at temperature 0 is the probability, not 1."""
    oracle = Oracle()
    result = core(oracle, Confidence(steps=5), temperature=0).sample(oracle.prior(1), seeds=[0])
    joint = result.confidence.log().sum()
    assert pytest.approx(float(oracle.log_prob(result.ids))) == float(joint)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_infilling_follows_the_conditional(sampler):
    """T3, T14: what is sampled around fixed tokens follows their exact conditional."""
    oracle, rows = Oracle(), 8000
    x = oracle.prior(rows)
    x[:, 0], x[:, 3], x[:, 4] = 2, 1, 0
    if "steps" in attrs.fields_dict(type(sampler)):
        sampler = attrs.evolve(sampler, steps=32)
    ids = core(oracle, sampler).sample(x, seeds=range(rows)).ids
    possible = ((oracle.texts == x[0]) | (x[0] == 3)).all(-1)
    conditional = torch.where(possible, oracle.log_joint.exp(), 0)
    far = (oracle.frequencies(ids) - conditional / conditional.sum()).abs().sum() / 2
    assert far < 0.04  # nine texts; the floor is 0.012


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_rows_of_a_network_are_independent(small_model, sampler):
    """T16: a padded row in a batch gives the text that it gives alone."""
    model = small_model()
    lengths = [4, 7, 1, 5]
    x = torch.full((4, 7), 3)
    x[1, 2] = 0
    for i, n in enumerate(lengths):
        x[i, n:] = 4
    together = core(model, sampler).sample(x, seeds=range(10, 14), lengths=lengths)
    for i, n in enumerate(lengths):
        alone = core(model, sampler).sample(x[i : i + 1, :n], seeds=[10 + i])
        assert torch.equal(alone.ids[0], together.ids[i, :n])
        assert torch.equal(x[i, n:], together.ids[i, n:])
        torch.testing.assert_close(alone.confidence[0], together.confidence[i, :n])


@pytest.mark.parametrize("corruption", [Absorbing(), Uniform()], ids=["masks", "uniform"])
def test_without_scores_the_same_texts_are_made(small_model, corruption):
    model = small_model(corruption=corruption)
    x = torch.full((3, 8), 3)
    scored, plain = (core(model).sample(x, seeds=range(3), scored=flag) for flag in (True, False))
    assert torch.equal(scored.ids, plain.ids)
    assert torch.equal(scored.committed_at, plain.committed_at)
    assert not scored.confidence.isnan().any()
    assert plain.confidence.isnan().all()


class Lazy(Sampler):
    """Asks nothing at all."""

    exact = "never"

    def denoise(self, x, context):
        yield from ()
        return x


def test_fills_in_what_a_sampler_left():
    """T13: no mask leaves, whatever the sampler."""
    oracle = Oracle()
    result = core(oracle, Lazy()).sample(oracle.prior(8), seeds=range(8))
    assert not (result.ids == oracle.mask_id).any()
    assert 1 == result.nfe
    assert (result.committed_at == 1).all()


def test_whole_text_stays():
    oracle = Oracle()
    x = oracle.draw(3)
    for sampler in SAMPLERS:
        result = core(oracle, sampler).sample(x, seeds=range(3))
        assert torch.equal(x, result.ids)
        assert 0 == result.nfe


def test_seeds_decide():
    """The same text for the same seed, at any place in a batch."""
    oracle = Oracle()
    ids = core(oracle).sample(oracle.prior(6), seeds=[5, 1, 2, 5, 1, 2]).ids
    assert torch.equal(ids[:3], ids[3:])


def test_gradients_stay_as_they_were(small_model):
    """Nothing is recorded while sampling, and the caller's mode survives between states."""
    model = small_model()
    stream = core(model).stream(torch.full((1, 4), 3), seeds=[0])
    for state in stream:
        assert torch.is_grad_enabled()
        assert not state.confidence.requires_grad


def test_fewer_positions_may_be_fixed_than_given():
    oracle = Oracle()
    x = oracle.prior(4)
    x[:, 0] = 1
    result = core(oracle).sample(x, torch.zeros_like(x).bool(), seeds=range(4))
    assert torch.equal(x[:, 0], result.ids[:, 0])  # none of our samplers changes a token


MASKS = torch.full((2, 5), 3)


@pytest.mark.parametrize(
    ("x", "settings", "problem"),
    [
        (MASKS[:0], {"seeds": []}, "nothing to sample"),
        (MASKS[:, :0], {}, "nothing to sample"),
        (MASKS[0], {}, "nothing to sample"),
        (MASKS.double(), {}, "nothing to sample"),
        (MASKS, {"seeds": [0]}, "1 seeds for 2 rows"),
        (MASKS, {"fixed": torch.zeros(2, 4).bool()}, "expected bool of shape .*, got torch.bool"),
        (MASKS, {"fixed": torch.zeros(2, 5)}, "expected bool"),
        (MASKS, {"fixed": torch.arange(10).view(2, 5) == 7}, "row 1, position 2 is fixed and"),
        (MASKS, {"lengths": [5, 4]}, "row 1, position 4 is fixed and holds a mask"),
        (MASKS, {"lengths": [5]}, "expected 2 numbers from 1 to 5"),
        (MASKS, {"lengths": [5, 0]}, "expected 2 numbers from 1 to 5"),
        (MASKS, {"lengths": [5, 6]}, "expected 2 numbers from 1 to 5"),
    ],
)
def test_bad_input_is_refused(x, settings, problem):
    with pytest.raises(InferenceError, match=problem):
        core(Oracle()).sample(x, **{"seeds": [0, 1], **settings})


@pytest.mark.parametrize("temperature", [-1.0, float("nan")])
def test_bad_temperature_is_refused(temperature):
    with pytest.raises(InferenceError, match="expected 0 or more"):
        core(Oracle(), temperature=temperature)


def test_zero_steps_are_refused():
    with pytest.raises(ValueError, match="steps"):
        Ancestral(steps=0)


def test_twin_is_refused(small_model):
    with pytest.raises(InferenceError, match="autoregressive"):
        core(small_model("ar"))


def test_nan_is_refused(small_model):
    model = small_model()
    with torch.no_grad():
        model.head.embedding.weight[0] = torch.nan
    x = torch.tensor([[3, 1, 3, 1], [3, 0, 3, 0]])
    with pytest.raises(InferenceError, match=r"NaN in call 1 \(rows \[0, 1\]\)"):
        core(model).sample(x, seeds=[0, 1])


def test_answers_in_single_precision_lose_no_entropy(small_model):
    """T10: the draws are in float64, so the precision of the answer leaves the texts alone."""
    model = small_model(dtype=torch.float32)
    x, ends = torch.full((4000, 4), 3), []
    for dtype in (torch.float32, torch.float64):
        denoiser = model.denoiser(dtype=dtype)
        ends.append(core(denoiser, Ancestral(steps=4)).sample(x, seeds=range(4000)).ids)
    assert (ends[0] == ends[1]).all(-1).double().mean() > 0.999
    shares = (torch.bincount(ids.flatten(), minlength=7) / ids.numel() for ids in ends)
    single, double = (float(torch.special.entr(share).sum()) for share in shares)
    assert pytest.approx(double, abs=1e-3) == single
