"""Countdown: some numbers and a target, and an expression that reaches it; made here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from attrs import field, frozen, validators

from aios_core.contracts import Dataset, Row, Segment
from aios_core.errors import DataError

if TYPE_CHECKING:
    from aios_core.contracts import Split

    Problem = tuple[str, str]
    """A prompt and an answer."""

IN_VAIN: Final = 1000
"""Draws that give nothing new, one after the other, after which there are no more problems."""


@frozen
class Countdown(Dataset):
    """Problems as ``"3 7 25 46="``, answered by an expression as ``"25+3*7"``.

    The prompt gives the numbers in random order and, last, the target; the answer uses each number
    once. Every value between is a whole number from 1 on. A problem is its numbers and its target:
    none is in both splits, and none stands twice. A problem may have other right answers: measure
    with ``checked`` and the checker ``countdown``.
    """

    numbers: int = field(default=3, validator=[validators.ge(2), validators.le(6)])
    """How many are given."""
    largest: int = field(default=30, validator=[validators.ge(2), validators.le(10_000)])
    """Of the numbers."""
    largest_target: int = field(default=99, validator=[validators.ge(1), validators.le(10**6)])
    """Of the targets."""
    problems: int = field(default=20_000, validator=[validators.ge(1), validators.le(10**7)])
    """Problems to train on."""
    held_out: int = field(default=1000, validator=[validators.ge(1), validators.le(10**6)])
    """Problems of the validation split."""
    seed: int = field(default=0, validator=[validators.ge(0), validators.le(2**32 - 1)])
    """Decides the problems; apart from that of the run, whose seeds share a data set."""

    def rows(self, split: Split) -> Iterator[Row]:
        """A prompt that is given and an answer each.

        Raises:
            DataError: there are fewer problems than asked for.
        """
        problems = _problems(self)
        held_out = split == "validation"
        for prompt, answer in problems[: self.held_out] if held_out else problems[self.held_out :]:
            yield Row((Segment("prompt", prompt, "given"), Segment("answer", answer)))

    def files(self) -> tuple[()]:
        """None: everything follows from the settings."""
        return ()


@lru_cache(maxsize=2)
def _problems(data: Countdown) -> tuple[Problem, ...]:
    """Those of both splits, the held-out ones first."""
    drawn, seen, count = np.random.default_rng(data.seed), set(), data.problems + data.held_out
    problems: list[Problem] = []
    vain = 0
    while len(problems) < count:
        numbers = [1 + int(drawn.random() * data.largest) for _ in range(data.numbers)]
        target, answer, _ = _expression(numbers, drawn)
        key = (*sorted(numbers), target)
        if target > data.largest_target or key in seen:
            vain += 1
            if vain > IN_VAIN:
                raise DataError(
                    f"dataset 'countdown': about {len(problems)} problems of {data.numbers} "
                    f"numbers up to {data.largest} and targets up to {data.largest_target} were "
                    f"found; expected {count}: use fewer problems, or larger numbers"
                )
            continue
        vain = 0
        seen.add(key)
        order = sorted(numbers, key=lambda _: drawn.random())
        problems.append((f"{' '.join(map(str, order))} {target}=", answer))
    return tuple(problems)


def _expression(numbers: list[int], drawn: np.random.Generator) -> tuple[int, str, int]:
    """A random expression of numbers in their order: value, text, and how firmly it holds together.

    Brackets stand only where the value needs them: a sum has firmness 0, a product 1, a number 2.
    """
    if len(numbers) == 1:
        return numbers[0], str(numbers[0]), 2
    cut = 1 + int(drawn.random() * (len(numbers) - 1))
    a, left, firm = _expression(numbers[:cut], drawn)
    b, right, also = _expression(numbers[cut:], drawn)
    signs = ["+", "*", *("-" if a > b else ""), *("/" if a % b == 0 else "")]
    sign = signs[int(drawn.random() * len(signs))]
    value = {"+": a + b, "*": a * b, "-": a - b, "/": a // b}[sign]
    if sign in "*/":
        left = f"({left})" if firm == 0 else left
        right = f"({right})" if also == 0 or (sign == "/" and also == 1) else right
        return value, f"{left}{sign}{right}", 1
    right = f"({right})" if sign == "-" and also == 0 else right
    return value, f"{left}{sign}{right}", 0
