"""What is drawn under a hard constraint, against all texts of a length written out."""

import itertools
import re
from functools import cache

import pytest
import torch

from aios_core.contracts import Controls, Spelling
from aios_core.diffusion.constraints import TokenConstraint, lift, tokens
from aios_core.diffusion.denoiser import substitute
from aios_core.diffusion.logits import LogitsProcessor
from aios_core.diffusion.random import RowRandom
from aios_plugins._grammar.expression import parse
from aios_plugins._grammar.machine import compile_pattern

LETTERS, MASK, LENGTH = "abcd", 4, 4
REGEX = "(?:[ab][cd]|c[ab])*d?|dd[ab]*"
"""Letters that mean the same in some places and not in others."""
TEXTS = torch.tensor(list(itertools.product(range(4), repeat=LENGTH)))


@cache
def constraint(regex):
    spelling = Spelling.plain([*(letter.encode() for letter in LETTERS), b""])
    return TokenConstraint(lift(compile_pattern(parse(regex)), spelling, eos_id=None))


def accepted(regex, texts=TEXTS):
    words = ("".join(LETTERS[i] for i in row) for row in texts.tolist())
    return torch.tensor([re.fullmatch(regex, word) is not None for word in words])


class Table:
    """Independent positions (L, 4) of any log-probabilities."""

    time_conditioned = False

    def __init__(self, table):
        self.table = torch.cat((table, torch.full_like(table[:, :1], -torch.inf)), 1)

    def __call__(self, x, t):
        logits = self.table.expand(len(x), -1, -1).clone()
        return substitute(logits, x, MASK, torch.float64)

    def of(self, texts):
        """(N,) log-probability of texts."""
        log_p = self.table.log_softmax(-1)
        return log_p[torch.arange(texts.shape[1]), texts].sum(-1)


def chance(seed, scale=1.5):
    made = torch.Generator().manual_seed(seed)
    return Table(scale * torch.randn(LENGTH, 4, generator=made, dtype=torch.float64))


def draw(regex, denoiser, x, *, temperature=1.0, process=None, bonus=None):
    """Every mask at once, from one prediction."""
    wrapped, draws = constraint(regex).begin(denoiser, torch.ones_like(x).bool(), MASK)
    log_probs = wrapped(x, torch.ones(len(x)).double())
    random = draws(RowRandom(range(len(x)), x.shape[1], process=process))
    where = x == MASK
    return torch.where(where, random.categorical(log_probs, where, temperature, MASK, bonus), x)


def masks(rows, length=LENGTH):
    return torch.full((rows, length), MASK)


@pytest.mark.parametrize("given", [None, 0, 2])
def test_without_temperature_it_is_the_likeliest_accepted_text_of_any_prediction(given):
    """As a whole: neither position by position, nor letter by letter from the left."""
    allowed, by_marginals = accepted(REGEX), 0
    x = masks(1)
    if given is not None:
        x[0, 1] = given
        allowed &= TEXTS[:, 1] == given
    for seed in range(16):
        denoiser = chance(seed, scale=0.3 + seed % 4 / 2)
        log_p = denoiser.of(TEXTS).masked_fill(~allowed, -torch.inf)
        wrapped, _ = constraint(REGEX).begin(denoiser, torch.ones_like(x).bool(), MASK)
        marginals = wrapped(x, torch.ones(1).double())[0].argmax(-1)
        by_marginals += not torch.equal(marginals, TEXTS[log_p.argmax()])

        assert TEXTS[log_p.argmax()].tolist() == draw(REGEX, denoiser, x, temperature=0)[0].tolist()
    assert by_marginals > 1, "the cases tell the two apart"


@pytest.mark.parametrize("given", range(4))
def test_predictions_are_the_marginals_of_accepted_texts(given):
    """Where letters are alike too, and whichever letter stands already."""
    for seed, place in itertools.product(range(3), range(LENGTH)):
        allowed = accepted(REGEX) & (TEXTS[:, place] == given)
        if not allowed.any():
            continue
        denoiser, x = chance(seed), masks(1)
        x[0, place] = given
        p = denoiser.of(TEXTS).masked_fill(~allowed, -torch.inf).softmax(0)
        wrapped, _ = constraint(REGEX).begin(denoiser, torch.ones_like(x).bool(), MASK)
        result = wrapped(x, torch.ones(1).double())[0].exp()
        expected = [torch.bincount(TEXTS[:, i], p, minlength=5) for i in range(LENGTH)]
        torch.testing.assert_close(torch.stack(expected), result, rtol=0, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_temperature_divides_what_the_model_says_of_accepted_texts(temperature):
    """Frequencies of whole texts are of p^(1/T), restricted to the language."""
    n, denoiser = 8_000, chance(3)
    allowed = accepted(REGEX)
    log_p = denoiser.of(TEXTS).masked_fill(~allowed, -torch.inf)
    expected = (log_p / temperature).softmax(0)
    ids = draw(REGEX, denoiser, masks(n), temperature=temperature)
    number = (ids * 4 ** torch.arange(LENGTH - 1, -1, -1)).sum(-1)
    result = torch.bincount(number, minlength=len(TEXTS)) / n
    floor = (expected * (1 - expected)).sqrt().sum() / (2 * torch.pi * n) ** 0.5

    assert (result - expected).abs().sum() / 2 < 1.5 * floor


LN_2 = 0.6931471805599453


@pytest.mark.parametrize(
    ("regex", "letters", "length"),
    [
        # All accepted texts have a weight below what exp can say.
        ("[ab]{6}c{6}|c{6}[ab]{6}", (-200.0, -200.0 + LN_2, 0.0, -300.0), 12),
        ("[ab]{3}", (-300.0, -300.0 + LN_2, -5.0, 0.0), 3),  # far below what is refused
    ],
    ids=["long", "unlikely"],
)
def test_proportions_hold_however_unlikely_the_language_is(regex, letters, length):
    """The second of two letters stands twice as often as the first."""
    denoiser = Table(torch.tensor([letters], dtype=torch.float64).expand(length, -1))
    ids = draw(regex, denoiser, masks(2_000, length))
    free = ids[ids != LETTERS.index("c")]

    assert {True} == set(accepted(regex, ids.unique(dim=0)).tolist())
    assert pytest.approx(2 / 3, abs=0.03) == (free == 1).double().mean().item()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_impossible_is_written_only_where_nothing_else_is_accepted(temperature):
    """And what is just unlikely goes before it."""
    never = -torch.inf
    denoiser = Table(
        torch.tensor([[never, -60.0, 0.0, 0.0], [never, 0.0, 0.0, 0.0]], dtype=torch.float64)
    )
    ids = draw("[ab]a", denoiser, masks(50, 2), temperature=temperature)

    assert [[1, 0]] == ids.unique(dim=0).tolist()


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_filters_choose_among_what_is_accepted(temperature):
    """The two likeliest accepted letters, in their proportions; the likeliest of all is refused."""
    n = 8_000
    denoiser = Table(torch.tensor([[0.1, 0.2, 0.3, 0.4]], dtype=torch.float64).log())
    process = LogitsProcessor(Controls(top_k=2), MASK)
    ids = draw("[abc]", denoiser, masks(n, 1), temperature=temperature, process=process)
    result = torch.bincount(ids[:, 0], minlength=4).double() / n
    weights = torch.tensor([0.0, 0.2, 0.3, 0.0], dtype=torch.float64) ** (1 / temperature)

    assert 0 == result[0] == result[3]
    torch.testing.assert_close(weights / weights.sum(), result, rtol=0, atol=0.02)


def test_a_repetition_penalty_counts_under_a_constraint():
    """The log-probability of a letter that the row holds is multiplied by it."""
    n, x = 8_000, torch.tensor([[0, MASK]])
    denoiser = Table(torch.tensor([[0.4, 0.4, 0.1, 0.1]] * 2, dtype=torch.float64).log())
    processor = LogitsProcessor(Controls(repetition_penalty=3.0), MASK)
    x = x.expand(n, -1)
    processor.observe(x)
    ids = draw("a[ab]", denoiser, x, process=processor)
    expected = 0.5**3 / (0.5**3 + 0.5)  # each has half of what is accepted

    assert pytest.approx(expected, abs=0.02) == (ids[:, 1] == 0).double().mean().item()


def test_a_filter_yields_where_it_leaves_nothing_accepted():
    """The likeliest letters of the two places do not stand together in any accepted text."""
    denoiser = Table(torch.tensor([[0.5, 0.4, 0.1, 0.0]] * 2, dtype=torch.float64).log())
    ids = draw(
        "ab|b[ac]", denoiser, masks(500, 2), process=LogitsProcessor(Controls(top_k=1), MASK)
    )
    words = {"".join(LETTERS[i] for i in row) for row in ids.tolist()}

    assert words <= {"ab", "ba"}, "never both places against the filter"


@pytest.mark.parametrize(("temperature", "gain"), [(1.0, 3.0), (0.5, 3.0), (0.0, 3.0), (0.0, 0.5)])
def test_a_bonus_counts_under_a_constraint(temperature, gain):
    """Its share of the letter's weight comes on top, before the temperature."""
    n = 8_000 if temperature else 10
    denoiser = Table(torch.tensor([[0.2, 0.4, 0.0, 0.4]], dtype=torch.float64).log())
    bonus = (torch.zeros(n, 1).long(), torch.full((n, 1), gain, dtype=torch.float64))
    ids = draw("[ab]", denoiser, masks(n, 1), temperature=temperature, bonus=bonus)
    a, b = 0.2 * (1 + gain), 0.4
    if temperature:
        a, b = a ** (1 / temperature), b ** (1 / temperature)
        expected = a / (a + b)
    else:
        expected = float(a > b)

    assert pytest.approx(expected, abs=0.02) == (ids == 0).double().mean().item()


def test_from_left_to_right_what_is_allowed_keeps_its_proportions():
    """In rows that end at very different lengths; what is impossible comes where it must."""
    restrict = constraint("[ab]*c").restrict([6, 1])
    log_probs = torch.tensor([[0.1, 0.3, 0.2, 0.4, 0.0]] * 2, dtype=torch.float64).log()
    first = restrict(log_probs, [[], []]).exp()
    expected = torch.tensor([[0.25, 0.75, 0, 0, 0], [0, 0, 1, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(expected, first)
    log_probs[:, 2] = -torch.inf
    last = restrict(log_probs, [[0, 1, 1, 0, 0], [2]])[0].exp()
    torch.testing.assert_close(expected[1], last)


def test_states_may_be_read_a_few_at_a_time(monkeypatch):
    """How many tokens and states are looked at together changes no table."""
    regex = "(?:a[bc]{1,3}d|[bd]{2}a)+|c*"
    whole = constraint(regex).automaton
    for cells in (1, 8, 12, 20):
        monkeypatch.setattr(tokens, "_CELLS", cells)
        parts = constraint.__wrapped__(regex).automaton
        assert [whole.accepts(row) for row in TEXTS.tolist()] == [
            parts.accepts(row) for row in TEXTS.tolist()
        ]
        assert (whole.table == parts.table).all()
    assert accepted(regex).tolist() == [whole.accepts(row) for row in TEXTS.tolist()]
