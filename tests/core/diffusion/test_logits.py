"""What may be drawn: filters in one place for all samplers."""

import attrs
import pytest
import torch

from aios_core.contracts import Controls
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.logits import LogitsProcessor
from aios_core.errors import InferenceError
from aios_core.testing.conformance import tokens
from aios_core.testing.oracle import Oracle
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.confidence import Confidence

SAMPLERS = tokens("sampler")


def build(name, steps=6):
    cls = SAMPLERS[name]
    return cls(steps=steps) if "steps" in attrs.fields_dict(cls) else cls()


def core(oracle, sampler, temperature=1.0, **controls):
    return DiffusionCore(
        oracle,
        sampler,
        LogLinear(),
        oracle.mask_id,
        temperature=temperature,
        controls=Controls(**controls),
    )


def left(p, temperature=1.0, present=None, **controls):
    """Probabilities after the filters and the temperature."""
    processor = LogitsProcessor(Controls(**controls), mask_id=len(p) - 1)
    if present is not None:
        processor.observe(torch.tensor([present]))
    log_probs = torch.tensor([p], dtype=torch.float64).log()
    answer = processor(log_probs, torch.tensor([0]), temperature)
    return (answer / temperature).softmax(-1)[0].tolist()


P = [0.4, 0.3, 0.2, 0.1, 0.0]


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ({"top_k": 1}, [1, 0, 0, 0, 0]),
        ({"top_k": 2}, [4 / 7, 3 / 7, 0, 0, 0]),
        ({"top_k": 99}, P),
        ({"top_p": 0.69}, [4 / 7, 3 / 7, 0, 0, 0]),
        ({"top_p": 0.71}, [4 / 9, 3 / 9, 2 / 9, 0, 0]),
        ({"top_p": 1e-9}, [1, 0, 0, 0, 0]),
        ({"top_p": 1.0}, P),
        ({"min_p": 0.49}, [4 / 9, 3 / 9, 2 / 9, 0, 0]),
        ({"min_p": 1.0}, [1, 0, 0, 0, 0]),
        ({"suppress_tokens": (0, 2)}, [0, 0.75, 0, 0.25, 0]),
        ({"suppress_tokens": (0,), "top_k": 1}, [0, 1, 0, 0, 0]),
        ({"top_k": 3, "top_p": 0.5}, [4 / 7, 3 / 7, 0, 0, 0]),
    ],
)
def test_filters(controls, expected):
    """Top-p keeps the token that crosses it; each works on what those before it left."""
    assert pytest.approx(expected) == left(P, **controls)


def test_equal_tokens_at_the_border_stay():
    """Which of them would be an accident of their order."""
    assert pytest.approx([0.4, 0.3, 0.3, 0, 0]) == left([0.4, 0.3, 0.3, 0.0, 0.0], top_k=2)


def test_filters_look_at_tempered_probabilities():
    """As in transformers: squared, 16:9:4:1, the first has more than half."""
    assert pytest.approx([1, 0, 0, 0, 0]) == left(P, temperature=0.5, top_p=0.5)
    assert pytest.approx([16 / 25, 9 / 25, 0, 0, 0]) == left(P, temperature=0.5, min_p=0.3)
    assert pytest.approx([4 / 9, 3 / 9, 2 / 9, 0, 0]) == left(P, min_p=0.3)


def test_repetition_penalty():
    """Log-probabilities of what is there already are multiplied; masks are not there."""
    expected = torch.tensor([0.4, 0.3**2, 0.2, 0.1, 0]) / (0.4 + 0.09 + 0.2 + 0.1)
    assert pytest.approx(expected.tolist()) == left(P, present=[4, 1, 1], repetition_penalty=2.0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_suppressed_tokens_never_come(name):
    oracle = Oracle()
    for temperature in (0.0, 1.0):
        chosen = core(oracle, build(name), temperature, suppress_tokens=(1,))
        ids = chosen.sample(oracle.prior(200), seeds=range(200)).ids
        assert not (ids == 1).any()
        assert not (ids == oracle.mask_id).any()


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_likeliest_token_alone_is_temperature_zero(name):
    """For all samplers, by any of the filters."""
    oracle = Oracle()
    x = oracle.prior(50)
    cold = core(oracle, build(name), 0.0).sample(x, seeds=range(50)).ids
    for controls in ({"top_k": 1}, {"top_p": 1e-9}, {"min_p": 1.0}):
        assert torch.equal(
            cold, core(oracle, build(name), **controls).sample(x, seeds=range(50)).ids
        )


def test_confidence_knows_nothing_of_controls():
    """Where a token is drawn, and what is reported, come from the network's own distribution."""
    oracle = Oracle()
    x = oracle.prior(64)
    first = []
    for controls in ({}, {"suppress_tokens": (0,)}, {"top_k": 1}):
        _, state, *_ = core(oracle, Confidence(steps=5), **controls).stream(x, seeds=range(64))
        first.append(state.committed)
        p = oracle(x, torch.zeros(64)).exp()[state.committed]
        token = state.ids[state.committed]
        torch.testing.assert_close(
            state.confidence[state.committed], p.gather(-1, token[:, None])[:, 0]
        )
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[0], first[2])


def test_repetition_penalty_avoids_what_the_row_holds():
    """One token at a time a huge penalty leaves no token twice, while there are others."""
    oracle = Oracle(vocab=5, length=4)
    ids = (
        core(oracle, Confidence(steps=20), repetition_penalty=1e6)
        .sample(oracle.prior(200), seeds=range(200))
        .ids
    )
    assert all(len(set(row)) == 4 for row in ids.tolist())


def test_padding_is_not_a_repetition(small_model):
    """T16: a row next to longer ones gives the text that it gives alone."""
    model = small_model()
    x = torch.full((2, 6), 3)
    x[0, 3:] = 0
    chosen = DiffusionCore(
        model, Ancestral(steps=6), LogLinear(), 3, controls=Controls(repetition_penalty=3.0)
    )
    together = chosen.sample(x, seeds=[0, 1], lengths=[3, 6]).ids
    assert torch.equal(together[0, :3], chosen.sample(x[:1, :3], seeds=[0]).ids[0])


def test_defaults_change_nothing():
    assert not Controls().active
    assert Controls(top_k=5).active
    oracle = Oracle()
    x = oracle.prior(20)
    ends = [
        core(oracle, Ancestral(steps=6), **controls).sample(x, seeds=range(20)).ids
        for controls in ({}, {"top_k": 4, "min_p": 1e-300})
    ]
    assert torch.equal(*ends)


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [((0, 1, 2), "nothing is left"), ((9,), "9 is not a token; expected 0 to 3")],
)
def test_impossible_suppression_is_refused(tokens, problem):
    oracle = Oracle()
    with pytest.raises(InferenceError, match=problem):
        core(oracle, Ancestral(), suppress_tokens=tokens).sample(oracle.prior(1), seeds=[0])


@pytest.mark.parametrize(
    "controls",
    [
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"min_p": 1.5},
        {"repetition_penalty": 0.0},
        {"suppress_tokens": (-1,)},
        {"top_p": float("nan")},
    ],
)
def test_bad_controls_are_refused(controls):
    with pytest.raises(ValueError, match=next(iter(controls))):
        Controls(**controls)
