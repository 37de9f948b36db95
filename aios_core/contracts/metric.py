"""Metrics: what an evaluation measures."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts.model import HeldOutTokens, Network
    from aios_core.contracts.rows import Completion
    from aios_core.contracts.sequences import Sequences
    from aios_core.contracts.tokenizer import TrainedTokenizer


@frozen
class Estimate:
    """A measured value."""

    value: float
    stderr: float | None = None
    """Standard error of the value over the units it was averaged over; None where it has none."""

    @classmethod
    def ratio(cls, totals: Sequence[float], sizes: Sequence[float]) -> Estimate:
        """``sum(totals) / sum(sizes)`` with its standard error over the units.

        For nats a token over sequences of different lengths: the mean of the sequences' own means
        would give the tokens of a short one more weight. With equal sizes it is the mean and its
        usual standard error.

        Args:
            totals: one for each unit.
            sizes: one for each unit, with a positive sum.

        Examples:
            >>> Estimate.ratio([10.0, 40.0], [10, 20])  # nats of two sequences, and their tokens
            Estimate(value=1.666..., stderr=0.444...)
        """
        n, size = len(totals), math.fsum(sizes)
        value = math.fsum(totals) / size
        if n < 2:
            return cls(value)
        squares = math.fsum((x - value * w) ** 2 for x, w in zip(totals, sizes, strict=True))
        return cls(value, math.sqrt(squares * n / (n - 1)) / size)


@frozen(eq=False)
class Samples:
    """What a sampler made."""

    sequences: Sequences
    """N of them on the CPU; their targets are what was sampled, up to the end token of each row."""
    texts: tuple[str, ...]
    nfe: float
    """Number of function evaluations: calls of the denoiser for a batch, the mean over batches."""
    seconds: float
    dtype: str
    """In which probabilities were sampled from, as in ``"float64"``; low precision lowers entropy,
    so no sample metric is reported without it."""
    completions: tuple[Completion, ...] = ()
    """One for each sample, where the rows of the data set give parts: samples are made from the
    given parts of held-out rows. Empty where a row is nothing but a target."""

    @property
    def ids(self) -> Tensor:
        """(N, L) int64 of `sequences`, with what stands before and behind the sampled tokens."""
        return self.sequences.ids


class DiffusionSettings(Protocol):
    """The section ``diffusion``: how a network is taught to denoise."""

    @property
    def length(self) -> int:
        """L, tokens of a training sequence."""
        ...

    @property
    def times(self) -> Literal["stratified", "iid"]:
        """How times are drawn."""
        ...

    @property
    def time_epsilon(self) -> float:
        """Smallest time that is drawn."""
        ...


class EvaluationSettings(Protocol):
    """The section ``evaluation``: how to measure."""

    @property
    def draws(self) -> int:
        """Noisy states drawn a sequence."""
        ...

    @property
    def batch_size(self) -> int:
        """Sequences a forward pass."""
        ...


class Settings(Protocol):
    """What a metric may read of the configuration of a run, whatever class keeps it."""

    @property
    def seed(self) -> int:
        """Decides all that is drawn."""
        ...

    @property
    def mode(self) -> Literal["diffusion", "ar"]:
        """Whether the network denoises, or is autoregressive."""
        ...

    @property
    def diffusion(self) -> DiffusionSettings:
        """How the network was taught."""
        ...

    @property
    def evaluation(self) -> EvaluationSettings:
        """How to measure."""
        ...

    @property
    def metrics(self) -> Sequence[Metric]:
        """What is measured."""
        ...


@frozen
class Evidence:
    """What a metric may look at."""

    config: Settings
    """Of the run: its seed, and how to measure (``config.evaluation``, ``config.diffusion``)."""
    model: Network
    """In evaluation mode, on its device."""
    tokenizer: TrainedTokenizer
    held_out: HeldOutTokens
    """Validation split of the data set, as tokens; the first ``evaluation.max_tokens`` of it."""
    samples: Samples | None = None
    """Present for metrics of samples."""
    twin: Network | None = None
    """The autoregressive twin: same data, tokenizer, backbone. None where it was switched off."""

    def bits_per_byte(self, nats_per_token: Estimate) -> Estimate | None:
        """A measure of the held-out texts in bits a byte of UTF-8, to compare across tokenizers.

        None where the tokens do not decode to the texts: a tokenizer that loses a part of them has
        less to predict and would seem the better for it. A metric then leaves the value out.
        """
        if not self.held_out.exact:
            return None
        factor = len(self.held_out.ids) / self.held_out.num_bytes / math.log(2)
        stderr = nats_per_token.stderr
        return Estimate(nats_per_token.value * factor, None if stderr is None else stderr * factor)


class Metric(ABC):
    """Something that an evaluation measures; a frozen attrs class like every component."""

    of: ClassVar[Literal["model", "samples"]]
    """What it measures. Metrics of the model are measured once a checkpoint, metrics of samples
    once a trial."""

    better: ClassVar[Mapping[str, Literal["lower", "higher", "nearer"]]] = {}
    """For each value of which one may be better than another, how: ``"nearer"`` means nearer to
    what the same metric says of held-out texts, for what a perfect model reaches and no more. A
    value not named is descriptive."""

    units: ClassVar[Mapping[str, str]] = {}
    """For each value that has one, its unit, as in ``"nats/token"``."""

    @property
    def names(self) -> frozenset[str]:
        """Names of the values that it may give, as far as they are known before it measures.

        Two metrics of one configuration share none of them. Those of `better` and `units`; a
        metric whose fields choose among these gives its own choice.
        """
        return frozenset({*self.better, *self.units})

    @abstractmethod
    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """Named values, the names stable and unique to the metric, as in ``"nelbo"``.

        An empty dict says that the metric does not apply to this evidence.
        """
