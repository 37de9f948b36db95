"""Score entropy: the objective of networks that predict ratios of probabilities (SEDD)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def log_scores(log_probs: Tensor, sigma: Tensor) -> Tensor:
    """Scores of a masked state that a prediction of clean tokens stands for.

    q(state with y in place of the mask) / q(state) = p_y alpha / (1 - alpha), and alpha /
    (1 - alpha) = 1 / (exp(sigma) - 1).

    Args:
        log_probs: (..., V) log-probabilities of the clean token.
        sigma: total noise -log alpha, of a shape that can be added.

    Returns:
        (..., V) logarithms.
    """
    return log_probs - torch.expm1(sigma).log()


def score_entropy(log_score: Tensor, x0: Tensor, sigma: Tensor, sigma_prime: Tensor) -> Tensor:
    """What the bound integrates over time at a masked position (SEDD, arXiv 2310.16834, eq. 9).

    sigma' (sum of s_y - r log s_x0 + r (log r - 1)) with r = 1 / (exp(sigma) - 1), the score of
    the clean token itself; at the scores of a prediction p it is the integrand of the NELBO,
    -sigma' r log p_x0. What is not masked adds nothing.

    Args:
        log_score: (..., V) logarithms of the network's scores, minus infinity for the mask.
        x0: (...) int64 clean tokens.
        sigma: (...) total noise.
        sigma_prime: (...) its slope.

    Returns:
        (...) nats, at least 0.
    """
    log_r = -torch.expm1(sigma).log()
    chosen = log_score.gather(-1, x0[..., None])[..., 0]
    total = log_score.logsumexp(-1).exp()
    return sigma_prime * (total - log_r.exp() * (chosen - log_r + 1))
