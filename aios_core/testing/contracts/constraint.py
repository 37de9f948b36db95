"""What every constraint must do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
import torch

from aios_core.contracts import Automaton, Spelling, SpellingContext
from aios_core.diffusion.constraints import TokenConstraint, lift
from aios_core.diffusion.random import RowRandom
from aios_core.errors import InferenceError
from aios_core.inference.constraints import texts
from aios_core.testing.contracts.base import Contract

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Constraint, PatternExample

STRANGE: Final = (
    *("", " ", "\0", "\ud800", "é中😀", "(", ")", "[", "]", "{", "}", "*", "\\", "|", ":", "-1"),
    *("1e999", "null", "[]", "{}", '""', "9" * 5000, "(" * 5000, "[" * 5000, "x" * 20_000),
)
"""Patterns that a user might write, or an attacker."""

_BYTES: Final = [bytes([byte]) for byte in range(256)]


def _single(_: Sequence[bytes]) -> Spelling:
    """A token a byte."""
    return Spelling.plain(_BYTES)


def _parts(data: Sequence[bytes]) -> Spelling:
    """Tokens of up to three bytes as well, which cut characters."""
    cuts = {text[i : i + n] for text in data for n in (2, 3) for i in range(len(text) - n + 1)}
    return Spelling.plain([*_BYTES, *sorted(cuts)])


def _words(_: Sequence[bytes]) -> Spelling:
    """Tokens with a blank in front of them, but for the first, or behind, but for the last."""
    first = [*_BYTES, *_BYTES, *(byte + b" " for byte in _BYTES)]
    later = [*_BYTES, *(b" " + byte for byte in _BYTES), *(byte + b" " for byte in _BYTES)]
    after = np.ones(len(first), dtype=np.int64)
    last = [*later[:512], *_BYTES]
    return Spelling(
        (
            SpellingContext(first, after, [*first[:512], *_BYTES]),
            SpellingContext(later, after, last),
        )
    )


class _Anything:
    """A denoiser that likes some tokens more than others, and knows no language."""

    time_conditioned = False

    def __init__(self, size: int, length: int) -> None:
        made = torch.Generator().manual_seed(0)
        self.answer = (2 * torch.randn(length, size, generator=made)).double().log_softmax(-1)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """(B, L, V) log-probabilities, whatever x is."""
        return self.answer.expand(len(x), -1, -1).clone()


class ConstraintContract(Contract["Constraint"]):
    """Subclass it and set ``component``: a constraint's class, or one that is built."""

    @classmethod
    def try_out(cls, plugin: Constraint) -> None:
        """An automaton for each example, all texts of which are UTF-8."""
        assert plugin.examples, "examples is empty; expected at least one PatternExample"
        for example in plugin.examples:
            texts(plugin, example.pattern)

    def test_is_built_without_values(self, instance: Constraint) -> None:
        """No configuration holds one, so its fields have defaults."""
        type(instance)()

    def test_examples_are_right_and_wrong(self, instance: Constraint) -> None:
        """The automaton of each has what the example says."""
        for example in instance.examples:
            automaton = texts(instance, example.pattern)
            for text in example.right:
                matched = automaton.matches(text.encode())
                assert matched, f"{text!r} does not satisfy {example.pattern!r}; it is said to"
            for text in example.wrong:
                matched = automaton.matches(text.encode())
                assert not matched, f"{text!r} satisfies {example.pattern!r}; it is said not to"
        assert any(example.right for example in instance.examples), "no example has a right text"
        assert any(example.wrong for example in instance.examples), "no example has a wrong text"

    def test_a_pattern_has_the_same_texts_each_time(self, instance: Constraint) -> None:
        """Of the same component, and of another that is built."""
        for example in instance.examples:
            first = texts(instance, example.pattern)
            for other in (instance, type(instance)()):
                again = texts(other, example.pattern)
                same = np.array_equal(first.table, again.table)
                assert same, f"{example.pattern!r} has other texts the second time"
                assert np.array_equal(first.accepting, again.accepting)

    def test_strange_patterns_are_taken_or_refused(self, instance: Constraint) -> None:
        """Whatever they are: an automaton, or an error of ours before any work."""
        for pattern in (*STRANGE, *_cut(instance.examples)):
            try:
                texts(instance, pattern)
            except InferenceError:  # which says why
                continue
            except Exception as error:
                error.add_note(f"of the pattern {pattern[:40]!r}")
                raise

    @pytest.mark.parametrize("spelled", [_single, _parts, _words], ids=lambda way: way.__name__[1:])
    def test_decoded_texts_satisfy_it_whatever_the_tokenizer(
        self, instance: Constraint, spelled: Callable[[Sequence[bytes]], Spelling]
    ) -> None:
        """Fault T2: what a network writes that knows no language, and what the examples say."""
        for example in instance.examples:
            automaton = texts(instance, example.pattern)
            spelling = spelled([text.encode() for text in example.right])
            tokens = _Tokens(automaton, spelling)
            for text in example.right:
                assert tokens.accept(text), f"no tokens spell {text!r}, of {example.pattern!r}"
            for text in example.wrong:
                assert not tokens.accept(text), f"tokens spell {text!r}, of {example.pattern!r}"
            if not example.right:
                continue
            length = max(1, *(len(text.encode()) for text in example.right))
            for text in tokens.drawn(length):
                assert automaton.matches(text.encode()), f"{text!r} came of {example.pattern!r}"
                assert text not in example.wrong, f"{text!r} came of {example.pattern!r}"


def _cut(examples: Sequence[PatternExample]) -> Iterator[str]:
    """Their patterns, cut short and damaged."""
    draw = random.Random(0)  # noqa: S311  # of nothing secret
    for example in examples:
        for _ in range(12):
            place = draw.randrange(len(example.pattern) + 1)
            yield example.pattern[:place]
            yield example.pattern[:place] + chr(draw.randrange(32, 128)) + example.pattern[place:]


class _Tokens:
    """Tokens that an automaton holds, with a mask and an end of text behind those that spell."""

    def __init__(self, automaton: Automaton, spelling: Spelling) -> None:
        self.spelling, self.size = spelling, len(spelling.contexts[0].texts)
        self.mask_id, self.eos_id = self.size, self.size + 1
        self.reads = lift(automaton, _with_special(spelling), eos_id=self.eos_id)

    def accept(self, text: str) -> bool:
        """Whether a text may stand, byte by byte."""
        return self.reads.accepts([*text.encode(), self.eos_id])

    def drawn(self, length: int) -> Iterator[str]:
        """Texts of at most so many tokens, drawn at once."""
        constraint, rows = TokenConstraint(self.reads), 4
        constraint.check([[self.mask_id] * length], self.mask_id)
        x = torch.full((rows, length), self.mask_id)
        where = torch.ones_like(x, dtype=torch.bool)
        denoiser, draws = constraint.begin(_Anything(self.size + 2, length), where, self.mask_id)
        for temperature in (0.0, 1.0):
            log_probs = denoiser(x, torch.ones(rows, dtype=torch.float64))
            given = draws(RowRandom(range(rows), length))
            for row in given.categorical(log_probs, where, temperature, self.mask_id).tolist():
                ids = row[: row.index(self.eos_id)] if self.eos_id in row else row
                data = self.spelling.spell(ids)
                assert data is not None, f"tokens {ids} are in no text"
                yield data.decode()


def _with_special(spelling: Spelling) -> Spelling:
    """The same with two tokens more, which are in no text."""
    contexts = []
    for context in spelling.contexts:
        after = np.append(context.after, [0, 0])
        last = None if context.last is None else [*context.last, None, None]
        contexts.append(SpellingContext([*context.texts, None, None], after, last))
    return Spelling(tuple(contexts))
