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
from collections.abc import Collection

import torch
from torch import Generator, Tensor, nn

from aios_core.contracts import (
    Backbone,
    Condition,
    Corruption,
    NoiseScheduler,
    ProjectionHead,
    Space,
    Vocabulary,
)
from aios_core.diffusion.model import Model
from aios_core.diffusion.process import DiscreteProcess


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
        vocabulary: sizes and special ids.
        process: the corruption that it denoises: masks.
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
        self.vocabulary = Vocabulary(vocab + 1, self.mask_id, pad_id=0, bos_id=0, eos_id=0)
        self.process = DiscreteProcess(_Masks(), self.vocabulary)
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

    def model(self, noise: NoiseScheduler, block_size: int | None = None) -> Model:
        """The oracle as a `Model`, to test objectives with: its logits are the conditionals.

        Args:
            noise: the schedule.
            block_size: of blocks, each of which sees the clean text before it; None: no blocks.
        """
        backbone = _OracleBackbone(self) if block_size is None else _BlockOracleBackbone(self)
        parts = _Numbers(), backbone, noise, self.process.corruption, self.vocabulary
        return Model(*parts, length=self.length, block_size=block_size)

    def prior(self, rows: int) -> Tensor:
        """Masks alone, (rows, L) int64: what sampling starts from."""
        return torch.full((rows, self.length), self.mask_id)

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p of texts (B, L), as (B,) float64."""
        return self.log_joint[_index(x, self.vocab)]

    def log_conditional(self, targets: Tensor) -> Tensor:
        """Exact log p of some tokens of each text given its others, (V**L,) float64.

        Args:
            targets: (L,) bool, at least one True.
        """
        joint = self.log_joint.reshape((self.vocab,) * self.length)
        places = targets.nonzero()[:, 0].tolist()
        return (joint - joint.logsumexp(places, keepdim=True)).flatten()

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


class NoisyOracle(Oracle):
    """The same joint seen through any noise: exact p(clean token | all others), at every time.

    Args:
        corruption: which noise.
        noise: the schedule, for the answer depends on the time.
        vocab: V, tokens without the mask.
        length: L.
        seed: decides the joint.
        given: positions that are clean at every time, and known to be.
    """

    def __init__(
        self,
        corruption: Corruption,
        noise: NoiseScheduler,
        vocab: int = 3,
        length: int = 5,
        seed: int = 0,
        *,
        given: Collection[int] = (),
    ) -> None:
        super().__init__(vocab, length, seed, time_conditioned=True)
        self.given = given
        self.process, self.noise = DiscreteProcess(corruption, self.vocabulary), noise
        self._tables: dict[float, Tensor] = {}

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Exact log p(x_i | the other positions of x at time t), (B, L, V + 1) float64."""
        self.nfe += 1
        answer = torch.empty(*x.shape, self.vocab + 1, dtype=torch.float64)
        for time in set(t.tolist()):
            rows = t == time
            answer[rows] = self.table(time)[_index(x[rows], self.vocab + 1)]
        return answer

    def likelihood(self, alpha: Tensor) -> Tensor:
        """q(z_i | x_i), (V + 1, V) for every token z_i of a state and x_i of a text."""
        clean = alpha * torch.eye(self.vocab + 1, self.vocab, dtype=torch.float64)
        return clean + self.process.mass(alpha)[:, None]

    def table(self, time: float) -> Tensor:
        """The answers for all states, ((V + 1)**L, L, V + 1); no numbers where a mask is given."""
        if time not in self._tables:
            q = self.likelihood(self.noise.alpha(torch.tensor(time, dtype=torch.float64)))
            clean = self.likelihood(torch.ones((), dtype=torch.float64))
            joint = self.log_joint.exp().reshape((self.vocab,) * self.length)
            parts = []
            for place in range(self.length):
                weights = joint
                for other in range(self.length):
                    if other != place:
                        seen = clean if other in self.given else q
                        weights = torch.tensordot(weights, seen, ([other], [1]))
                        weights = weights.movedim(-1, other)
                weights = weights.movedim(place, -1)
                weights = (weights / weights.sum(-1, keepdim=True)).unsqueeze(place)
                parts.append(weights.expand(*(self.vocab + 1,) * self.length, -1))
            table = torch.stack(parts, -2).reshape(-1, self.length, self.vocab).log()
            self._tables = {time: torch.nn.functional.pad(table, (0, 1), value=-torch.inf)}
        return self._tables[time]


def ignorant(
    noise: NoiseScheduler, corruption: Corruption | None = None, *, vocab: int = 3, length: int = 4
) -> Model:
    """A model that knows nothing: every text has -log p = L ln V, and so has its bound.

    Args:
        noise: the schedule.
        corruption: which noise; unset: masks.
        vocab: V, tokens without the mask.
        length: L.
    """
    vocabulary = Vocabulary(vocab + 1, vocab, pad_id=0, bos_id=0, eos_id=0)
    backbone = _Ignorance(vocab + 1)
    return Model(_Numbers(), backbone, noise, corruption or _Masks(), vocabulary, length=length)


class _Ignorance(Backbone):
    dim = 0  # of the instance
    time_conditioned = False

    def __init__(self, size: int) -> None:
        self.dim = size

    def build(self, *, causal: bool = False) -> nn.Module:
        return _Zeros()


class _Zeros(nn.Module):
    """Logits 0 of every token, whatever is asked."""

    def forward(self, h: Tensor, t: Tensor | None, condition: Condition | None) -> Tensor:
        return torch.zeros_like(h)


class _Masks(Corruption):
    absorbing = True

    def noise(self, alpha: Tensor, vocabulary: Vocabulary) -> Tensor:
        mask = torch.nn.functional.one_hot(torch.tensor(vocabulary.mask_id), vocabulary.size)
        return mask.to(alpha).expand(*alpha.shape, -1)


class _OracleModule(nn.Module):
    """Looks the answer up: a backbone from tokens, as numbers, to logits."""

    def __init__(self, oracle: Oracle) -> None:
        super().__init__()
        self.oracle = oracle

    def forward(self, h: Tensor, t: Tensor | None, condition: Condition | None) -> Tensor:
        x = h[..., 0].long()
        return self.oracle(x, torch.zeros(len(x)) if t is None else t)


class _OracleBackbone(Backbone):
    dim = 0  # of the instance
    time_conditioned = False

    def __init__(self, oracle: Oracle) -> None:
        self.oracle, self.dim = oracle, oracle.vocabulary.size

    def build(self, *, causal: bool = False) -> nn.Module:
        return _OracleModule(self.oracle)


class _BlockOracleBackbone(_OracleBackbone):
    serves_masks = True

    def build(self, *, causal: bool = False) -> nn.Module:
        return _BlockOracleModule(self.oracle)


class _BlockOracleModule(nn.Module):
    """The oracle over noisy blocks, each of which sees the clean text before it and no later one.

    It is asked for both texts side by side, and answers what the mask of the question lets it see.
    """

    def __init__(self, oracle: Oracle) -> None:
        super().__init__()
        self.oracle = oracle

    def forward(self, h: Tensor, t: Tensor, condition: Condition) -> Tensor:
        assert condition.mask is not None
        x, length = h[..., 0].long(), self.oracle.length
        answers = torch.zeros_like(h)
        for place in range(length):
            noisy, clean = condition.mask[place].split(length)
            if (noisy & clean).any():
                raise AssertionError("a position sees another both clean and noisy")
            state = torch.full((len(x), length), self.oracle.mask_id)
            state = torch.where(noisy, x[:, :length], state)
            state = torch.where(clean, x[:, length:], state)
            answers[:, place] = self.oracle(state, t)[:, place]
        return answers


class _NumbersModule(nn.Module):
    """Tokens as numbers in, as wide as the logits, which come out as they are."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def encode(self, x: Tensor) -> Tensor:
        return x[..., None].double().expand(*x.shape, self.dim)

    def decode(self, h: Tensor) -> Tensor:
        return h


class _Numbers(ProjectionHead):
    def build(self, dim: int, space: Space) -> nn.Module:
        return _NumbersModule(dim)


def _all_rows(base: int, length: int) -> Tensor:
    """Every row of digits, in the order of `_index`: (base**length, length) int64."""
    return torch.cartesian_prod(*[torch.arange(base)] * length).reshape(-1, length)


def _index(x: Tensor, base: int) -> Tensor:
    """Rows of digits as numbers, the first digit the highest: (B, L) to (B,)."""
    powers = base ** torch.arange(x.shape[1] - 1, -1, -1)
    return (x * powers).sum(1)
