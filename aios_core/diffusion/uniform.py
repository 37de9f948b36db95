"""Uniform corruption: a token survives with probability alpha, else it is any token at all.

K tokens, the mask not among them; q_t(z | x) = alpha 1[z = x] + (1 - alpha) / K at each position.
The prediction that fits this process is p(x_i | z without z_i): what a network trained by
`integrand` learns, and what `posterior` takes. It is not p(x_i | z), which `clean` makes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import frozen
from torch.nn.functional import one_hot

if TYPE_CHECKING:
    from torch import Generator, Tensor


@frozen
class Uniform:
    """A token survives with probability alpha, and is drawn anew otherwise, maybe as itself."""

    size: int
    """K, the tokens 0 to K - 1."""

    def corrupt(self, x0: Tensor, alpha: Tensor, generator: Generator) -> Tensor:
        """Draw each token anew with probability 1 - alpha of its row.

        Args:
            x0: (B, L) int64 clean tokens.
            alpha: (B,) float64 survival probabilities.
            generator: source of randomness, on the CPU.

        Returns:
            (B, L) int64, a new tensor.
        """
        u = torch.rand(x0.shape, generator=generator, dtype=torch.float64).to(x0.device)
        other = torch.randint(self.size, x0.shape, generator=generator).to(x0.device)
        return torch.where(u < alpha.to(x0.device)[:, None], x0, other)


def marginal(p: Tensor, alpha: Tensor) -> Tensor:
    """Distribution of z at survival probability alpha: alpha p + (1 - alpha) / K.

    Args:
        p: (..., K) distribution of the clean token.
        alpha: of a shape that p's can be multiplied with.
    """
    return alpha * p + (1 - alpha) / p.shape[-1]


def clean(z: Tensor, p: Tensor, alpha: Tensor) -> Tensor:
    """Distribution of the clean token given all of z, its own position included.

    Args:
        z: (...) int64.
        p: (..., K) p(x_i | z without z_i).
        alpha: survival probability, of a shape that p's can be multiplied with.

    Returns:
        (..., K): p times q(z_i | x_i), normalised.
    """
    joint = p * marginal(one_hot(z, p.shape[-1]).to(p), alpha)
    return joint / joint.sum(-1, keepdim=True)


def posterior(z: Tensor, p: Tensor, alpha: Tensor, earlier: Tensor) -> Tensor:
    """Distribution of the state at an earlier time: one ancestral step (D3PM, arXiv 2107.03006).

    Proportional to q(z | y) q_s(y) over states y at s; exact for each position by itself. Drawing
    a clean token from `clean` and then noise on the way to it, as DDIM does for discrete states
    (arXiv 2010.02502, appendix A), gives the same distribution.

    Args:
        z: (...) int64 the state at t.
        p: (..., K) p(x_i | z without z_i).
        alpha: survival probability to t, of a shape that p's can be multiplied with.
        earlier: survival probability to s < t.

    Returns:
        (..., K).
    """
    forward = marginal(one_hot(z, p.shape[-1]).to(p), alpha / earlier)
    joint = forward * marginal(p, earlier)
    return joint / joint.sum(-1, keepdim=True)


def integrand(z: Tensor, x0: Tensor, p: Tensor, alpha: Tensor, alpha_prime: Tensor) -> Tensor:
    """What the NELBO integrates over time, at each position, in nats (UDLM, arXiv 2412.10193).

    Relative entropy of the reverse processes of the data and of the model, as Markov chains in
    continuous time: the sum over y != z of r' - r + r log(r / r'), where r is the rate
    -alpha' / (alpha K) q_t(y | x0) / q_t(z | x0) and r' that of the prediction.

    Args:
        z: (...) int64 the state at t.
        x0: (...) int64 clean tokens.
        p: (..., K) p(x_i | z without z_i), the network's.
        alpha: survival probability, of a shape that p's can be multiplied with.
        alpha_prime: its slope.

    Returns:
        (...) nats, at least 0.
    """
    tokens = p.shape[-1]
    data, model = marginal(one_hot(x0, tokens).to(p), alpha), marginal(p, alpha)
    ratio = data / data.gather(-1, z[..., None])
    predicted = model / model.gather(-1, z[..., None])
    terms = predicted - ratio + ratio * (ratio / predicted).log()  # 0 at y = z
    return (-alpha_prime / (alpha * tokens) * terms).sum(-1)
