"""Metrics: what an evaluation measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from attrs import frozen

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts.tokenizer import TrainedTokenizer
    from aios_core.diffusion.model import Model
    from aios_core.training.data import Tokens


@frozen
class Estimate:
    """A measured value."""

    value: float
    stderr: float | None = None
    """Standard error of the value over the units it was averaged over; None where it has none."""


@frozen
class Samples:
    """What a sampler made."""

    ids: Tensor
    """(N, L) int64 on the CPU."""
    texts: tuple[str, ...]
    nfe: int
    """Number of function evaluations: calls of the denoiser for one batch, the mean over batches
    rounded up."""
    seconds: float
    dtype: str
    """In which probabilities were sampled from, as in ``"float64"``; low precision lowers entropy,
    so no sample metric is reported without it."""


@frozen
class Evidence:
    """What a metric may look at."""

    model: Model
    tokenizer: TrainedTokenizer
    held_out: Tokens
    """Validation split of the data set, as tokens."""
    seed: int
    samples: Samples | None = None
    """Present for metrics of samples."""
    twin: Model | None = None
    """The autoregressive twin: same data, tokenizer, backbone. None where it was switched off."""


class Metric(ABC):
    """Something that an evaluation measures; a frozen attrs class like every component."""

    of: ClassVar[Literal["model", "samples"]]
    """What it measures. Metrics of the model are measured once a checkpoint, metrics of samples
    once a trial."""

    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {}
    """For each value where one direction is better, which; a value not named is descriptive."""

    units: ClassVar[Mapping[str, str]] = {}
    """For each value that has one, its unit, as in ``"nats/token"``."""

    @abstractmethod
    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """Named values, the names stable and unique to the metric, as in ``"nelbo"``.

        An empty dict says that the metric does not apply to this evidence.
        """
