"""What predictors reach that look at no other token: less than that is no language model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from aios_core.training.token_rows import segment_starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.contracts import HeldOutTokens, Vocabulary
    from aios_core.training.token_rows import TokenRows

_AT_ONCE: Final = 1 << 22
"""Tokens that are counted at once: those of a corpus may be more than memory holds."""


def yardsticks(
    train: TokenRows | None, held_out: HeldOutTokens, vocabulary: Vocabulary
) -> dict[str, float]:
    """What predictors that look at no other token reach on texts, in nats a token.

    Args:
        train: the rows that a network learns from; None: they are not there.
        held_out: those that it is measured on.
        vocabulary: of their tokens.

    Returns:
        ``uniform``: every token but the mask is as likely, ln V. ``unigram``, where there are rows
        to learn from: each is as likely as it is often among what they teach, once more than that
        (Laplace's rule, so that none is impossible).
    """
    size = vocabulary.size
    known = {"uniform": math.log(size - 1)}
    if train is not None:
        learned = _counts(train, size) + 1
        learned[vocabulary.mask_id] = 0
        seen = np.bincount(held_out.ids, minlength=size)
        at = np.flatnonzero(seen)
        nats = math.log(learned.sum()) - np.log(learned[at])
        known["unigram"] = float(seen[at] @ nats / seen.sum())
    return known


def _counts(rows: TokenRows, size: int) -> NDArray[np.int64]:
    """(V,) how often each token is learned."""
    counts = np.zeros(size, np.int64)
    for start in range(0, len(rows.ids), _AT_ONCE):
        counts += np.bincount(rows.ids[start : start + _AT_ONCE], minlength=size)
    if rows.segments is None or not rows.has_given:
        return counts
    given = rows.segments["given"]
    starts, ends = segment_starts(rows)[given], rows.segments["end"][given]
    edges = np.cumsum(ends - starts)
    parts = np.searchsorted(edges, np.arange(0, int(edges[-1]) + 1, _AT_ONCE), side="right")
    for part in map(slice, parts, (*parts[1:], len(starts))):
        first, width = starts[part], (ends - starts)[part]
        inside = np.arange(int(width.sum())) - np.repeat(np.cumsum(width) - width, width)
        counts -= np.bincount(rows.ids[np.repeat(first, width) + inside], minlength=size)
    return counts
