"""Score entropy."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from aios_core.diffusion import bounds


@frozen
class ScoreEntropy(bounds.ScoreEntropy):
    """Logits as scores: ratios of probabilities, which nothing forces to add up (SEDD).

    Above ``nelbo`` by what the scores miss of their sum, and equal to it where they are a
    prediction's (SEDD, arXiv 2310.16834). Evaluation and samplers normalise them, which only lowers
    the bound. Under other noise than masks ``nelbo`` is score entropy, at the scores that the
    prediction stands for.
    """

    absorbing_only: ClassVar[bool] = True
