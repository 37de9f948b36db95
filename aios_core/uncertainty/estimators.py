"""How unsure a network is of a text: what it says of tokens that are hidden from it.

A text is hidden more and less, at fixed shares of masks, what is hidden at a smaller one being
hidden at all larger ones too. So a reading is the way that denoising would take, with the text as
its end. Estimators look at one level after the other; none but `Residual` is told the tokens.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import torch
from attrs import evolve, frozen
from torch import Tensor

from aios_core.contracts import Condition
from aios_core.diffusion.random import row_seed
from aios_core.diffusion.selection import entropy
from aios_core.errors import InferenceError

if TYPE_CHECKING:
    from aios_core.diffusion.model import Model

RATES: Final = (0.9, 0.7, 0.5, 0.3, 0.1)
"""Shares of masks at which a text is read, each the middle of a bucket of times."""


@frozen(eq=False)
class MaskLevel:
    """What a network says of N hidden tokens, at one share of masks."""

    rate: float
    """The share of masks: the noise level."""
    hidden: Tensor
    """(B, L) bool: where the N tokens are, row by row."""
    tokens: Tensor
    """(N,) int64: what stands there."""
    log_probs: Tensor
    """(N, V) float32."""
    before: Tensor | None
    """(N,) int64: the likeliest tokens at the level before, of more masks; None at the first."""

    @property
    def said(self) -> Tensor:
        """(N,) log-probability of what stands there."""
        return self.log_probs.gather(-1, self.tokens[:, None])[:, 0]

    def tempered(self, temperature: float) -> MaskLevel:
        """The same with log-probabilities divided by a temperature, and normalised."""
        return evolve(self, log_probs=(self.log_probs / temperature).log_softmax(-1))

    def rows(self, values: Tensor) -> Tensor:
        """(B,) sums over rows of values (N,)."""
        owners = self.hidden.nonzero()[:, 0]
        sums = torch.zeros(len(self.hidden), dtype=torch.float64, device=values.device)
        return sums.index_add_(0, owners, values.double())

    def mean(self, values: Tensor, counted: Tensor | None = None) -> Tensor:
        """(B,) means over the hidden tokens of each row, or over those of them that are counted.

        Args:
            values: (N,).
            counted: (B, L) bool, as given to `read`.
        """
        if counted is None:
            return self.rows(values) / self.hidden.sum(-1)
        counted = counted.to(self.hidden.device)
        kept = torch.where(counted[self.hidden], values, 0)
        return self.rows(kept) / (self.hidden & counted).sum(-1)


class Estimator(ABC):
    """A measure of how unsure a network is of each hidden token: higher is more unsure."""

    @abstractmethod
    def measure(self, level: MaskLevel) -> Tensor:
        """(N,) of a level's hidden tokens."""


@frozen
class Entropy(Estimator):
    """Entropy of the prediction, in nats."""

    def measure(self, level: MaskLevel) -> Tensor:
        """Sum of -p log p."""
        return entropy(level.log_probs)


@frozen
class Margin(Estimator):
    """1 minus the difference of the two highest probabilities."""

    def measure(self, level: MaskLevel) -> Tensor:
        """From 0, where the first leaves nothing, to 1, where the second is as likely."""
        first, second = level.log_probs.topk(2).values.exp().unbind(-1)
        return 1 - first + second


@frozen
class Residual(Estimator):
    """What the prediction leaves of the text, over the noise level.

    1 - p(token) is how far the prediction is from the text, in total variation. Divided by the
    share of masks, its sum over what is hidden estimates that over the whole text, at every level.
    It is told the text: of one that the network wrote, it says how well it agrees with itself.
    """

    def measure(self, level: MaskLevel) -> Tensor:
        """(1 - p(token)) / rate."""
        return -torch.expm1(level.said) / level.rate


@frozen
class Flips(Estimator):
    """Whether the likeliest token is another one than at the level before.

    How often a trajectory changes its mind (arXiv 2605.14570 counts the same while sampling).
    """

    def measure(self, level: MaskLevel) -> Tensor:
        """1 or 0; 0 at the first level."""
        if level.before is None:
            return torch.zeros(len(level.tokens), device=level.tokens.device)
        return (level.log_probs.argmax(-1) != level.before).float()


ESTIMATORS: Final[dict[str, Estimator]] = {
    "entropy": Entropy(),
    "margin": Margin(),
    "residual": Residual(),
    "flips": Flips(),
}

DEFAULT: Final = "residual"
"""Estimator that decides, unless another is named: of texts that are given, the one that foresees
their error best (BENCHMARKS.md). It is told the tokens; the others foresee less, without."""


@torch.no_grad()
def read(
    model: Model,
    ids: Tensor,
    valid: Tensor,
    *,
    counted: Tensor | None = None,
    seed: int = 0,
    rates: Sequence[float] = RATES,
) -> Iterator[MaskLevel]:
    """Hide texts at one share of masks after the other, and ask the network each time.

    Args:
        model: a diffusion model under masks.
        ids: (B, L) int64 on the CPU.
        valid: (B, L) bool, False at padding, on the CPU.
        counted: (B, L) bool, at least one of a row: of these something is to be said; None: all.
        seed: decides what is hidden, with the tokens of a row alone: equal texts hide the same.
        rates: falling.

    Yields:
        A level for each rate; at least one counted token of a row is hidden at each.

    Raises:
        InferenceError: the network cannot be asked so.
    """
    if model.mode != "diffusion" or not model.process.absorbing or model.in_blocks:
        raise InferenceError(
            "uncertainty is measured by hiding tokens; expected a diffusion model under masks, not "
            "in blocks"
        )
    u = torch.full(ids.shape, torch.inf)
    for row, text, there in zip(u, ids, valid, strict=True):
        digest = hashlib.sha256(text[there].numpy().tobytes()).digest()
        generator = torch.Generator().manual_seed(row_seed(seed, int.from_bytes(digest[:8], "big")))
        row[there] = torch.rand(int(there.sum()), generator=generator)
    # The first of a row is always hidden, so that there is something to say of few tokens.
    order = u if counted is None else u.masked_fill(~counted, torch.inf)
    first = torch.zeros_like(valid).scatter_(1, order.argmin(1, keepdim=True), value=True) & valid
    condition = None if bool(valid.all()) else Condition(model.place(valid))
    before = torch.full_like(ids, -1)
    for number, rate in enumerate(rates):
        hidden = (u < rate) | first
        z = model.place(torch.where(hidden, model.vocabulary.mask_id, ids))
        t = model.noise.inverse(torch.tensor([1 - rate], dtype=torch.float64)).expand(len(ids))
        where = model.place(hidden)
        h = model.denoiser(condition).states(z, model.place(t), 0, ids.shape[1])[where]
        log_probs = model.log_probs(h)
        said = model.place(before[hidden]) if number else None
        yield MaskLevel(rate, where, model.place(ids[hidden]), log_probs, said)
        before[hidden] = log_probs.argmax(-1).cpu()
