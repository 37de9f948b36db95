"""What predictors reach that look at no other token: less than that is no language model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from aios_core.contracts import HeldOutTokens, Vocabulary


def yardsticks(texts: HeldOutTokens, vocabulary: Vocabulary) -> dict[str, float]:
    """What predictors that learned nothing reach on texts, in nats a token.

    Args:
        texts: that a network is measured on.
        vocabulary: of their tokens.

    Returns:
        ``uniform``: every token but the mask is as likely, ln V. ``unigram``: the entropy of the
        texts' own counts of tokens, the least that anyone reaches who looks at no other token.
    """
    shares = np.unique(texts.ids, return_counts=True)[1] / len(texts.ids)
    unigram = float(shares @ -np.log(shares))
    return {"uniform": math.log(vocabulary.size - 1), "unigram": unigram}
