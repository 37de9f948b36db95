"""Texts with gaps as rows, and how long a gap is that does not say so."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from aios_core.errors import InferenceError
from aios_core.inference.likelihood import Question, log_likelihoods
from aios_core.inference.prompts import PromptRow, encoded

if TYPE_CHECKING:
    from aios_core.contracts import TrainedTokenizer
    from aios_core.diffusion.model import Model

Choose = Callable[[Sequence[int], Sequence[int], int], int]
"""From ids in front of a gap, ids behind it, masks in other gaps, and the most tokens that it may
have, to how many it has."""

_GAP: Final = re.compile(r"(?<!\\)(\\*)(_{3,}|<mask(?::([^<>]*))?>)")
"""A gap, and the backslashes in front of it: an odd number makes it text."""

_MOST: Final = 32
"""Tokens of the longest candidate for a gap."""
_DRAWS: Final = 4
"""By which candidates are compared."""


def infilling(
    tokenizer: TrainedTokenizer, text: str, gap: int, context: int, choose: Choose
) -> PromptRow:
    r"""A text with gaps.

    Args:
        tokenizer: of the run.
        text: ``___``, ``<mask>``, ``<mask:N>`` and ``<mask:*>`` are gaps, all else is given. A
            backslash in front of one makes it text, and ``\\`` there is a backslash.
        gap: tokens of a gap that does not say its own N.
        context: most tokens of a gap.
        choose: tokens of a ``<mask:*>``, asked for from left to right with what stands behind it
            until the next one.

    Raises:
        InferenceError: there is no gap, or one of no tokens, or of too many, or one whose length
            cannot be chosen.
    """
    mask_id, end, known, gapped = tokenizer.vocabulary.mask_id, 0, "", False
    sections: list[list[int]] = [[]]  # with a gap of an unknown length in front of each but one
    marks: list[str] = []

    def give(part: str) -> None:
        (tokens,) = encoded(tokenizer, part)
        sections[-1].extend(tokens)

    for match in _GAP.finditer(text):
        slashes, mark = len(match[1]), match[2]
        known += text[end : match.start()] + "\\" * (slashes // 2)
        end = match.end()
        if slashes % 2:
            known += mark
            continue
        give(known)
        known, gapped, where = "", True, f"{mark[:30]} at character {match.start(2)}"
        if match[3] == "*":
            sections.append([])
            marks.append(where)
            continue
        count = gap if match[3] is None else _gap_size(match[3], context)
        if not 1 <= count <= context:
            raise InferenceError(
                f"{where}: expected a gap of 1 to {context} tokens, got "
                f"{gap if match[3] is None else match[3][:20]}; a backslash in front makes it text"
            )
        sections[-1].extend([mask_id] * count)
    give(known + text[end:])
    if not gapped:
        raise InferenceError("the text has no gap; expected ___, <mask> or <mask:12> in it")
    ids, left = sections[0], context - sum(map(len, sections)) - len(marks)
    for where, behind in zip(marks, sections[1:], strict=True):
        if all(token == mask_id for token in behind):
            raise InferenceError(
                f"{where}: the text behind a gap says how long it is, and there is none; expected "
                "some in front of the next such gap, or a number as in <mask:12>"
            )
        if left < 0:
            raise InferenceError(
                f"{where}: there is no room for it; expected at most {context} tokens with gaps, "
                f"got {context - left}"
            )
        count = choose(ids, behind, left + 1)
        left -= count - 1
        ids = [*ids, *[mask_id] * count, *behind]
    return PromptRow(tuple(ids), tuple(token != mask_id for token in ids))


def likeliest(model: Model, begin: Sequence[int], seed: int) -> Choose:
    """Choose the length of a gap that makes what is given behind it likeliest.

    What the gap holds is unknown to each candidate, so that all are asked for the same tokens: the
    likelihood of filled gaps would be highest for the shortest.

    Args:
        model: a diffusion model.
        begin: ids in front of every text.
        seed: of the draws.
    """
    mask_id = model.vocabulary.mask_id
    asks = model.process.absorbing and not model.in_blocks

    def choose(before: Sequence[int], behind: Sequence[int], most: int) -> int:
        if not asks:
            raise InferenceError(
                "the length of <mask:*> is chosen by what stands behind it while the gap itself is "
                "unknown, which a network knows under masks, not in blocks, alone; expected a "
                "number of tokens as in <mask:12>"
            )
        known = (False,) * (len(begin) + len(before))
        asked = tuple(token != mask_id for token in behind)
        candidates = [
            Question(
                (*begin, *before, *[mask_id] * size, *behind),
                (*known, *[False] * size, *asked),
            )
            for size in range(1, min(most, _MOST) + 1)
        ]
        return log_likelihoods(model, candidates, draws=_DRAWS, seed=seed).best + 1

    return choose


def _gap_size(digits: str, most: int) -> int:
    """Tokens of a gap; none where it is no number, more than the most where it has many digits."""
    if not (digits.isascii() and digits.isdecimal()):
        return 0
    return int(digits) if len(digits) < 10 else most + 1
