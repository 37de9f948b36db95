"""InferenceCore."""

import pytest
import torch

from aios_core.contracts import Controls, Sequences, Vocabulary
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import nll
from aios_core.errors import InferenceError
from aios_core.inference import InferenceCore
from aios_core.testing.modules import stir
from aios_plugins.backbones.transformer import Transformer
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.heads.text import Text
from aios_plugins.noise.loglinear import LogLinear

VOCABULARY = Vocabulary(size=9, mask_id=5, pad_id=6, bos_id=7, eos_id=8)
PROMPTS = [[], [1, 2, 3], [4, 0], [1]]


def model(mode="ar"):
    torch.manual_seed(0)
    backbone = Transformer(dim=16, layers=2, heads=2)
    made = Model(Text(), backbone, LogLinear(), Absorbing(), VOCABULARY, mode=mode, length=12)
    return stir(made.double()).eval()


def rows(core, prompts, seeds, count=6, eos_id=None):
    """Tokens and their log-probabilities, row by row."""
    results = [([], []) for _ in prompts]
    counts = [count] * len(prompts) if isinstance(count, int) else count
    for step in core.stream(prompts, seeds=seeds, max_new_tokens=counts, eos_id=eos_id):
        for (tokens, log_probs), *new, on in zip(
            results,
            step.tokens.tolist(),
            step.log_probs.tolist(),
            step.active.tolist(),
            strict=True,
        ):
            tokens.extend(new[:1] * on)
            log_probs.extend(new[1:] * on)
    return results


def test_cached_and_uncached_agree():
    """T22: the cache is exact, for prompts of different lengths too."""
    cached, again = (
        rows(InferenceCore(model(), cached=on), PROMPTS, range(4)) for on in (True, False)
    )

    for (tokens, log_probs), (same, close) in zip(cached, again, strict=True):
        assert tokens == same
        assert pytest.approx(close, abs=1e-10) == log_probs


def test_log_probs_are_the_likelihood():
    """Written without a prompt, their sum is what `nll` says of the text."""
    (tokens, log_probs), *_ = rows(InferenceCore(model()), [[]], [3])
    x = torch.tensor([tokens])
    nats = nll(model(), Sequences(x, torch.ones_like(x).bool())).item()

    assert pytest.approx(-nats) == sum(log_probs)


def test_rows_do_not_depend_on_their_batch():
    """T16: nor do their prompts' lengths, nor when the others end."""
    core = InferenceCore(model())
    together = rows(core, PROMPTS, range(4), count=[6, 2, 5, 1], eos_id=8)
    for number, (prompt, count) in enumerate(zip(PROMPTS, [6, 2, 5, 1], strict=True)):
        ((tokens, log_probs),) = rows(core, [prompt], [number], count=count, eos_id=8)
        assert together[number][0] == tokens
        # Shifted positions have the angles of others, and these are float32.
        assert pytest.approx(together[number][1], abs=1e-6) == log_probs
        assert len(tokens) == count or tokens[-1] == 8


@pytest.mark.parametrize(
    "controls",
    [
        Controls(repetition_penalty=20.0),
        Controls(repetition_penalty=0.05),
        Controls(top_k=3, repetition_penalty=4.0),
        Controls(top_p=0.8, min_p=0.1),
        Controls(suppress_tokens=(0, 1)),
    ],
    ids=str,
)
def test_controls_of_a_row_do_not_depend_on_its_batch(controls):
    """T16: padding in front of a prompt is no token that the row holds already."""
    core = InferenceCore(model(), controls=controls)
    prompts = [[1], [], [2, 3], [4, 0, 1, 2, 3]] * 8
    together = rows(core, prompts, range(32), count=3)
    for number, prompt in enumerate(prompts):
        assert together[number][0] == rows(core, [prompt], [number], count=3)[0][0]


def test_draws_follow_the_model():
    """Frequencies of the first token are its probabilities, and the mask is never drawn."""
    core = InferenceCore(model())
    (step,) = core.stream([[1]] * 20_000, seeds=range(20_000), max_new_tokens=[1] * 20_000)
    expected = model()(torch.tensor([[7, 1]]))[0, -1]
    expected[5] = -torch.inf
    result = torch.bincount(step.tokens, minlength=9) / 20_000

    assert 0 == result[5]
    assert (expected.softmax(0) - result).abs().sum() / 2 < 0.02


def test_a_temperature_changes_the_draw_and_not_what_is_said():
    """Frequencies are of p^2 at 0.5; log-probability and entropy are those of p."""
    core = InferenceCore(model(), temperature=0.5)
    (step,) = core.stream([[1]] * 6_000, seeds=range(6_000), max_new_tokens=[1] * 6_000)
    logits = model()(torch.tensor([[7, 1]]))[0, -1].index_fill_(0, torch.tensor([5]), -torch.inf)
    plain, squared = logits.softmax(0), (2 * logits).softmax(0)
    result = torch.bincount(step.tokens, minlength=9) / 6_000

    assert (squared - result).abs().sum() / 2 < 0.03 < (plain - result).abs().sum() / 2
    torch.testing.assert_close(plain.log()[step.tokens], step.log_probs)
    torch.testing.assert_close(torch.special.entr(plain).sum().expand(6_000), step.entropy)
    assert 1 == step.nfe


def test_an_end_of_text_ends_a_row():
    core = InferenceCore(model())
    eos = rows(core, [[]], [0])[0][0][2]
    tokens = rows(core, [[]], [0], eos_id=eos)[0][0]

    assert eos == tokens[-1]
    assert eos not in tokens[:-1]
    assert len(tokens) <= 3


@pytest.mark.parametrize("controls", [Controls(top_k=1), Controls(top_p=1e-6), Controls(min_p=1)])
def test_controls_mean_what_they_mean_in_diffusion(controls):
    greedy = rows(InferenceCore(model(), temperature=0), PROMPTS, range(4))

    assert greedy == rows(InferenceCore(model(), controls=controls), PROMPTS, range(4))


def test_tokens_can_be_suppressed():
    core = InferenceCore(model(), controls=Controls(suppress_tokens=(0, 1, 2)))

    assert all(min(tokens) > 2 for tokens, _ in rows(core, PROMPTS, range(4)))


def test_a_restriction_sees_what_was_written():
    seen = []

    def restrict(log_probs, written):
        seen.append([list(row) for row in written])
        return torch.full_like(log_probs, -torch.inf).index_fill_(1, torch.tensor([2]), 0.0)

    steps = InferenceCore(model()).stream(
        [[1], []], seeds=[0, 1], max_new_tokens=[2, 2], restrict=restrict
    )
    assert [[2, 2], [2, 2]] == [step.tokens.tolist() for step in steps]
    assert [[[], []], [[2], [2]]] == seen


@pytest.mark.parametrize(
    ("prompts", "seeds", "counts"),
    [([], [], []), ([[]], [], [1]), ([[]], [0], [0]), ([[], []], [0, 1], [1])],
)
def test_contradictions_are_errors(prompts, seeds, counts):
    with pytest.raises(InferenceError, match="expected at least one prompt, and a seed"):
        next(InferenceCore(model()).stream(prompts, seeds=seeds, max_new_tokens=counts))


def test_diffusion_has_no_next_token():
    with pytest.raises(InferenceError, match="has no next token"):
        InferenceCore(model("diffusion"))


def test_temperature_must_not_be_negative():
    with pytest.raises(InferenceError, match="temperature is -1"):
        InferenceCore(model(), temperature=-1)


def test_nan_is_told():
    broken = model()
    broken.head.linear.weight.data[0] = torch.nan
    with pytest.raises(InferenceError, match=r"NaN at position 0 \(rows \[0\]\)"):
        next(InferenceCore(broken).stream([[]], seeds=[0], max_new_tokens=[1]))
