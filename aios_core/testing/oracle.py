"""A joint distribution small enough to enumerate: the perfect denoiser to test samplers with.

    oracle = Oracle(seed=0)
    core = DiffusionCore(oracle, sampler, noise, oracle.mask_id)
    samples = core.sample(oracle.prior(50_000), seeds=range(50_000)).ids
    assert oracle.total_variation(samples) < 1.2 * oracle.floor(50_000)

A sampler is exact when its samples are as far from the joint as independent samples of the joint
itself are, which is what `Oracle.floor` says.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from aios_core.contracts import (
    Backbone,
    Condition,
    Corruption,
    NoiseScheduler,
    ProjectionHead,
    Vocabulary,
)
from aios_core.diffusion.corruption import Absorbing
from aios_core.diffusion.model import Model


class Oracle:
    """A random joint over all texts of L tokens from V, with its exact conditionals.

    It is a `Denoiser`, and ignores the time. The mask is token V, one more than the joint has.

    Args:
        vocab: V, tokens without the mask.
        length: L; there are V**L texts and (V + 1)**L states, so keep both small.
        seed: decides the joint.
        sharpness: standard deviation of the log-weights; 0 is uniform.
        time_conditioned: what it tells samplers; its answer is the same either way.

    Attributes:
        mask_id: token id of the mask.
        texts: (V**L, L) int64 every text.
        log_joint: (V**L,) float64 their log-probabilities.
        nfe: calls so far.
    """

    def __init__(
        self,
        vocab: int = 3,
        length: int = 5,
        seed: int = 0,
        *,
        sharpness: float = 1.2,
        time_conditioned: bool = False,
    ) -> None:
        self.vocab, self.length, self.mask_id = vocab, length, vocab
        self.time_conditioned = time_conditioned
        self.nfe = 0
        self.texts = _all_rows(vocab, length)
        generator = Generator().manual_seed(seed)
        weights = torch.randn(len(self.texts), generator=generator, dtype=torch.float64)
        self.log_joint = (sharpness * weights).log_softmax(0)
        self._conditionals = self._tabulate()

    def _tabulate(self) -> Tensor:
        """(states, L, V + 1) log p(clean token | state), for every state."""
        states = _all_rows(self.vocab + 1, self.length)
        agrees = (states[:, None] == self.texts) | (states[:, None] == self.mask_id)
        weights = agrees.all(-1) * self.log_joint.exp()  # (states, texts)
        tokens = torch.nn.functional.one_hot(self.texts, self.vocab + 1).double()
        table = torch.einsum("st,tlv->slv", weights, tokens)
        return (table / weights.sum(1)[:, None, None]).log()

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Exact log p(x_i | what is not masked), (B, L, V + 1) float64; t is ignored."""
        self.nfe += 1
        return self._conditionals[_index(x, self.vocab + 1)]

    def model(self, noise: NoiseScheduler) -> Model:
        """The oracle as a `Model`, to test objectives with: its logits are the conditionals."""
        vocabulary = Vocabulary(
            size=self.vocab + 1, mask_id=self.mask_id, pad_id=0, bos_id=0, eos_id=0
        )
        return Model(_Numbers(), _OracleBackbone(self), noise, vocabulary, length=self.length)

    def prior(self, rows: int) -> Tensor:
        """Masks alone, (rows, L) int64: what sampling starts from."""
        return torch.full((rows, self.length), self.mask_id)

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p of texts (B, L), as (B,) float64."""
        return self.log_joint[_index(x, self.vocab)]

    def entropy(self) -> float:
        """Entropy of the joint in nats."""
        return -float((self.log_joint.exp() * self.log_joint).sum())

    def masked_loss(self) -> Tensor:
        """Cross-entropy summed over the masked positions and over all sets of k masks, exactly.

        Returns:
            (V**L, L + 1) nats, for every text and k from 0 to L.
        """
        loss = torch.zeros(len(self.texts), self.length + 1, dtype=torch.float64)
        for hidden in _all_rows(2, self.length).bool():
            log_probs = self._conditionals[
                _index(self.texts.masked_fill(hidden, self.mask_id), self.vocab + 1)
            ]
            # Zero at what is not masked: there the conditional is one-hot.
            loss[:, hidden.sum()] -= log_probs.gather(-1, self.texts[..., None]).sum((1, 2))
        return loss

    def draw(self, rows: int, seed: int = 0) -> Tensor:
        """Independent samples of the joint, (rows, L) int64."""
        generator = Generator().manual_seed(seed)
        chosen = torch.multinomial(
            self.log_joint.exp(), rows, replacement=True, generator=generator
        )
        return self.texts[chosen]

    def frequencies(self, samples: Tensor) -> Tensor:
        """Share of each text among samples (N, L), as (V**L,) float64."""
        counts = torch.bincount(_index(samples, self.vocab), minlength=len(self.texts))
        return counts.double() / len(samples)

    def total_variation(self, samples: Tensor) -> float:
        """Total variation between samples (N, L) and the joint, from 0 to 1."""
        return float((self.frequencies(samples) - self.log_joint.exp()).abs().sum() / 2)

    def floor(self, samples: int) -> float:
        """Total variation to expect of so many independent samples of the joint itself.

        Each count is nearly normal, so its mean absolute error is sqrt(2 p (1 - p) / (pi N)).
        """
        p = self.log_joint.exp()
        return float((p * (1 - p)).sqrt().sum() / math.sqrt(2 * math.pi * samples))


class _OracleModule(nn.Module):
    """Looks the answer up: a backbone from tokens, as numbers, to logits."""

    def __init__(self, oracle: Oracle) -> None:
        super().__init__()
        self.oracle = oracle

    def forward(self, h: Tensor, t: Tensor | None, condition: Condition | None) -> Tensor:
        x = h[..., 0].long()
        return self.oracle(x, torch.zeros(len(x)))


class _OracleBackbone(Backbone):
    dim = 1
    time_conditioned = False

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle

    def build(self, *, causal: bool = False) -> nn.Module:
        return _OracleModule(self.oracle)


class _NumbersModule(nn.Module):
    """Tokens as numbers in, logits as they are out."""

    def encode(self, x: Tensor) -> Tensor:
        return x[..., None].double()

    def decode(self, h: Tensor) -> Tensor:
        return h


class _Numbers(ProjectionHead):
    def build(self, dim: int, vocabulary: Vocabulary) -> nn.Module:
        return _NumbersModule()

    def corruption(self, vocabulary: Vocabulary) -> Corruption:
        return Absorbing(vocabulary.mask_id)


def _all_rows(base: int, length: int) -> Tensor:
    """Every row of digits, in the order of `_index`: (base**length, length) int64."""
    return torch.cartesian_prod(*[torch.arange(base)] * length).reshape(-1, length)


def _index(x: Tensor, base: int) -> Tensor:
    """Rows of digits as numbers, the first digit the highest: (B, L) to (B,)."""
    powers = base ** torch.arange(x.shape[1] - 1, -1, -1)
    return (x * powers).sum(1)
