"""Hard constraints."""

import json
import re

import jsonschema
import numpy as np
import pytest
import torch

from aios_core.contracts import Spelling, SpellingContext
from aios_core.diffusion.blocks import Blocks
from aios_core.diffusion.constraints import (
    TokenAutomaton,
    TokenConstraint,
    lift,
)
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.denoiser import substitute
from aios_core.diffusion.process import DiscreteProcess
from aios_core.diffusion.random import RowRandom
from aios_core.errors import InferenceError
from aios_core.testing.oracle import Oracle
from aios_plugins._grammar.expression import parse
from aios_plugins._grammar.machine import compile_pattern
from aios_plugins._grammar.schema import compile_schema
from aios_plugins.corruptions import uniform
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.confidence import Confidence
from aios_plugins.samplers.ddim import DDIM
from aios_plugins.samplers.first_hitting import FirstHitting

BYTES = [bytes([i]) for i in range(256)]
MASK, EOS = 256, 257


def automaton(regex):
    return compile_pattern(parse(regex))


SCHEMAS = [
    {"type": "integer"},
    {"type": "number"},
    {"type": ["boolean", "null"]},
    {"type": "string", "maxLength": 4},
    {"type": "string", "minLength": 1, "maxLength": 2},
    {"type": "string", "pattern": "^[a-c]{2}$"},
    {"type": "string", "pattern": "[.]"},
    {"enum": ['a"b', 1, None, {"k": [1]}]},
    {"enum": [1, "x", True], "type": "integer"},
    {"const": [1, "é"]},
    {"type": "array", "items": {"type": "boolean"}},
    {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
    {"type": "object"},
    {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"type": "null"}, "c": {"type": "integer"}},
        "required": ["b"],
        "additionalProperties": False,
    },
    {"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}}},
    {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}], "$defs": {"x": {"const": "x"}}},
]  # fmt: skip


class Uniform:
    """A denoiser that likes everything equally, also what is no text."""

    time_conditioned = False

    def __init__(self, vocab=258, seed=None):
        self.vocab, self.seed = vocab, seed

    def __call__(self, x, t):
        logits = torch.zeros(*x.shape, self.vocab, dtype=torch.float64)
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed)
            logits += 2 * torch.randn(logits.shape[1:], generator=generator, dtype=torch.float64)
        return substitute(logits, x, min(MASK, self.vocab - 1), torch.float64)


def write(constraint, x, sampler, denoiser, *, temperature=1.0, seeds=None, mask=MASK, **options):
    active = torch.ones_like(x, dtype=torch.bool)
    wrapped, draws = constraint.begin(denoiser, active, mask)
    core = DiffusionCore(wrapped, sampler, LogLinear(), mask, temperature=temperature, **options)
    *_, last = core.stream(x, seeds=seeds or range(len(x)), draws=draws)
    return last.ids


ORDERS = [Ancestral(steps=3), FirstHitting(), Confidence(steps=2)]
"""At random and many at a time, one at a time, by confidence."""


@pytest.mark.parametrize("number", range(len(SCHEMAS)), ids=lambda number: str(SCHEMAS[number]))
def test_documents_satisfy_their_schema(number):
    """Whatever the order and however many at a time; from a network that knows no JSON."""
    schema, sampler = SCHEMAS[number], ORDERS[number % 3]
    tokens = [*BYTES, b"", b"", b'":', b"true"]
    result = lift(compile_pattern(compile_schema(schema)), Spelling.plain(tokens), eos_id=EOS)
    x = torch.full((4, 24), MASK)
    for row in write(TokenConstraint(result), x, sampler, Uniform(260, seed=1)).tolist():
        text = b"".join(tokens[each] for each in row).decode()
        jsonschema.validate(json.loads(text), schema)
        assert text == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False) or (
            "number" in str(schema) or "string" in str(schema)
        )


def test_tokens_of_several_bytes():
    result = lift(
        automaton("abc|abd"), Spelling.plain([b"a", b"ab", b"c", b"bd", b"", b"d"]), eos_id=None
    )

    for ids in ([0, 3], [1, 2], [1, 5]):
        assert result.accepts(ids)
    for ids in ([0, 2], [1], [1, 2, 4], [3], [1, 2, 2]):
        assert not result.accepts(ids)


def test_an_end_of_text_stands_where_the_text_may_end():
    result = lift(automaton("a+"), Spelling.plain([*BYTES[:98], b""]), eos_id=98)
    assert result.accepts([97, 97])
    assert result.accepts([97, 98, 98])
    assert not result.accepts([98])
    assert not result.accepts([97, 98, 97])
    assert not lift(
        automaton("a+"), Spelling.plain([*BYTES[:98], b""]), eos_id=98, forbidden={97}
    ).accepts([97])


ORACLE = Oracle(vocab=3, length=5, seed=0)
LANGUAGE = lift(automaton("(ab|c)*a?"), Spelling.plain([b"a", b"b", b"c", b""]), eos_id=None)


class Independent:
    """Positions that are independent: the case in which the restriction is exact."""

    time_conditioned = False
    table = (1.5 * torch.randn(5, 4, generator=torch.Generator().manual_seed(3))).double()

    def __call__(self, x, t):
        return substitute(self.table.expand(len(x), -1, -1).clone(), x, 3, torch.float64)

    def joint(self):
        """(V**L,) log-probabilities of the accepted texts."""
        logs = self.table.clone()
        logs[:, 3] = -torch.inf
        log_p = logs.log_softmax(-1)[range(5), ORACLE.texts].sum(-1)
        allowed = torch.tensor([LANGUAGE.accepts(row) for row in ORACLE.texts.tolist()])
        return log_p.masked_fill(~allowed, -torch.inf).log_softmax(0)


@pytest.mark.parametrize(
    "sampler",
    [
        Ancestral(steps=1),
        Ancestral(steps=3),
        FirstHitting(),
        *(Blocks(Ancestral(steps=1), size) for size in (1, 2, 3)),
    ],
)
def test_draws_follow_the_model_restricted_to_the_language(sampler):
    """Any number at a time, in any order: total variation at the floor of as many draws."""
    n = 20_000
    expected = Independent().joint().exp()
    x = torch.full((n, 5), 3)
    ids = write(TokenConstraint(LANGUAGE), x, sampler, Independent(), mask=3)
    distance = (ORACLE.frequencies(ids) - expected).abs().sum() / 2
    floor = (expected * (1 - expected)).sqrt().sum() / (2 * torch.pi * n) ** 0.5

    assert distance < 1.5 * floor  # a dozen texts: the floor itself varies by a fifth


@pytest.mark.parametrize("sampler", [Ancestral(steps=1), Ancestral(steps=4), DDIM(steps=4)])
def test_under_other_noise_draws_follow_the_model_too(sampler):
    """However many steps: the clean text is drawn as a whole, given all of the noisy one."""
    n, process = 20_000, DiscreteProcess(uniform.Uniform(), ORACLE.vocabulary)
    expected = Independent().joint().exp()

    class Noisy(Independent):
        def __call__(self, x, t):
            return super().__call__(torch.full_like(x, 3), t)

    x = torch.full((n, 5), 3)
    everywhere = torch.ones_like(x, dtype=torch.bool)
    wrapped, draws = TokenConstraint(LANGUAGE).begin(Noisy(), everywhere, 3, everywhere)
    core = DiffusionCore(wrapped, sampler, LogLinear(), 3, process=process)
    *_, last = core.stream(x, ~everywhere, seeds=range(n), draws=draws)
    distance = (ORACLE.frequencies(last.ids) - expected).abs().sum() / 2
    floor = (expected * (1 - expected)).sqrt().sum() / (2 * torch.pi * n) ** 0.5

    assert distance < 1.5 * floor


def test_predictions_are_the_marginals():
    joint = Independent().joint().exp()
    wrapped, _ = TokenConstraint(LANGUAGE).begin(Independent(), torch.ones(1, 5).bool(), 3)
    x = torch.tensor([[3, 3, 2, 3, 3]])
    result = wrapped(x, torch.ones(1)).exp()[0]
    weights = joint * (ORACLE.texts[:, 2] == 2)
    for place in (0, 1, 3, 4):
        counts = torch.bincount(ORACLE.texts[:, place], weights, minlength=4) / weights.sum()
        torch.testing.assert_close(result[place], counts, rtol=0, atol=1e-12)


def test_without_temperature_the_likeliest_accepted_text_comes():
    expected = ORACLE.texts[Independent().joint().argmax()]
    for sampler in (Ancestral(steps=1), FirstHitting()):
        ids = write(
            TokenConstraint(LANGUAGE),
            torch.full((1, 5), 3),
            sampler,
            Independent(),
            temperature=0,
            mask=3,
        )
        assert expected.tolist() == ids[0].tolist()


def test_left_to_right_the_language_is_kept_too():
    restrict = TokenConstraint(LANGUAGE).restrict([5, 4])
    flat = torch.full((2, 4), 0.25, dtype=torch.float64).log()
    torch.testing.assert_close(
        torch.tensor([[1 / 2, 0, 1 / 2, 0], [0, 1, 0, 0]]).double(),
        restrict(flat, [[], [0]]).exp(),
    )
    # One token is left: after "cccc" an a or a c, and after "cca" nothing but b.
    torch.testing.assert_close(
        torch.tensor([[1 / 2, 0, 1 / 2, 0], [0, 1, 0, 0]]).double(),
        restrict(flat, [[2, 2, 2, 2], [2, 2, 0]]).exp(),
    )


def test_positions_outside_are_left_alone():
    active = torch.tensor([[False, True, True, True, False]])
    language = lift(automaton("abc"), Spelling.plain([b"a", b"b", b"c", b""]), eos_id=None)
    active = active.expand(50, -1)
    wrapped, draws = TokenConstraint(language).begin(Independent(), active, 3)
    core = DiffusionCore(wrapped, Ancestral(steps=2), LogLinear(), 3)
    *_, last = core.stream(torch.full((50, 5), 3), seeds=range(50), draws=draws)
    assert (torch.tensor([0, 1, 2]) == last.ids[:, 1:4]).all()
    ends = {tuple(row[::4]) for row in last.ids.tolist()}
    assert len(ends) > 3


def test_draws_from_one_prediction_fit_each_other():
    """Fault T2: a sampler may ask once and draw twice."""
    n = 200
    x, first = torch.full((n, 5), 3), torch.tensor([[True, False, True, False, False]])
    wrapped, draws = TokenConstraint(LANGUAGE).begin(Independent(), torch.ones_like(x).bool(), 3)
    log_probs, random = wrapped(x, torch.ones(n)), draws(RowRandom(range(n), 5, x.device))
    first = first.expand(n, -1)
    rows = random.categorical(log_probs, first, 1.0, 3)
    rows = rows.where(first, random.categorical(log_probs, ~first, 1.0, 3))

    assert all(LANGUAGE.accepts(row) for row in rows.tolist())
    assert 5 < len({tuple(row) for row in rows.tolist()})


def test_a_last_token_may_be_spelled_otherwise():
    """Fault T2: where a text may end depends on what stands last, and nothing more is read."""
    after = np.zeros(3, dtype=np.int64)
    context = SpellingContext([b"a ", b"b", None], after, [b"a", b"b", None])
    result = lift(automaton("(a |b)*a|"), Spelling((context,)), eos_id=2)

    for ids in ([0], [0, 0], [1, 0, 2], [0, 1, 1, 0], [2, 2], []):
        assert result.accepts(ids), ids
    for ids in ([1], [0, 1], [0, 1, 2], [2, 0], [1, 2]):
        assert not result.accepts(ids), ids


def test_rows_do_not_depend_on_their_batch():
    x = torch.full((3, 5), 3)
    together = write(TokenConstraint(LANGUAGE), x, Ancestral(steps=3), Independent(), mask=3)
    for row in range(3):
        alone = write(
            TokenConstraint(LANGUAGE), x[:1], Ancestral(steps=3), Independent(), seeds=[row], mask=3
        )
        assert torch.equal(together[row], alone[0])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([3] * 5, None),
        ([2, 3, 1, 3], None),
        ([1, 3], "with the 1 that are given"),
        ([0, 0], "with the 2 that are given"),
        ([], None),
    ],
)
def test_lengths_and_tokens_that_cannot_be_are_told(row, expected):
    constraint = TokenConstraint(LANGUAGE)
    if expected is None:
        constraint.check([row], 3)
    else:
        with pytest.raises(InferenceError, match=expected):
            constraint.check([row], 3)


def test_a_length_without_a_text_is_told():
    even = TokenConstraint(lift(automaton("(aa)+"), Spelling.plain([b"a", b""]), eos_id=None))
    even.check([[1] * 4], 1)
    with pytest.raises(InferenceError, match="no text of at most 3 tokens satisfies"):
        even.check([[1] * 4, [1] * 3], 1)


def test_automata_read_what_they_say():
    assert isinstance(LANGUAGE, TokenAutomaton)
    ends = lift(automaton("(aa)+|"), Spelling.plain([b"a"]), eos_id=None).reachable(2)
    assert ends[:, 0].tolist() == [True, False, True]
    assert 3 == len(ends)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_later_draws_from_one_prediction_fit_the_earlier_ones(temperature):
    """A sampler may draw twice from one answer: what it drew first is known then."""
    rows, mask = 64, 2
    constraint = TokenConstraint(
        lift(automaton("(ab|ba){2}"), Spelling.plain([b"a", b"b", b""]), eos_id=None)
    )
    x = torch.full((rows, 4), mask)

    class Even:
        time_conditioned = False

        def __call__(self, x, t):
            answer = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64).log()
            return answer.expand(*x.shape, -1).clone()

    denoiser, draws = constraint.begin(Even(), torch.ones_like(x, dtype=torch.bool), mask)
    random = draws(RowRandom(range(rows), 4))
    log_probs = denoiser(x, torch.ones(rows, dtype=torch.float64))
    text = x
    for place in (2, 0, 3, 1):
        where = torch.zeros_like(x, dtype=torch.bool)
        where[:, place] = True
        text = torch.where(where, random.categorical(log_probs, where, temperature, mask), text)
    for row in text.tolist():
        assert re.fullmatch("(ab|ba){2}", "".join("ab"[token] for token in row))
    assert temperature == 0 or len({tuple(row) for row in text.tolist()}) == 4
