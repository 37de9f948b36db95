"""Conditioners: what a network attends to besides its row, as memories, a class, a picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from aios_core.errors import InferenceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from aios_core.contracts.backbone import Backbone, Injection
    from aios_core.contracts.embedding import EmbeddingProvider
    from aios_core.contracts.randomness import Randomness
    from aios_core.contracts.storage import StorageBackend
    from aios_core.contracts.tokenizer import TrainedTokenizer


class Cues(Protocol):
    """What each of B rows is conditioned on, in a form that the conditioner's own module reads."""

    def taken(self, rows: NDArray[np.int64]) -> Self:
        """Those of some rows, by number, in that order."""
        ...


class ConditionModule(Protocol):
    """What `Conditioner.build` returns: an `nn.Module` with one method."""

    def context(self, cues: Any) -> Injection:
        """What to add to the states between layers, for rows with these `Cues`.

        A row whose cue is left out is as it would be in a network without the module.
        """
        ...


class Surroundings(Protocol):
    """What a conditioner may read of the configuration of a run."""

    @property
    def storage(self) -> StorageBackend:
        """What keeps vectors."""
        ...

    @property
    def embedding(self) -> EmbeddingProvider:
        """What makes vectors of texts."""
        ...


class CueSource:
    """Where the cues of rows come from, opened for one run.

    This class gives none, as of a network that has no conditioner.
    """

    maker: str = ""
    """Fingerprint of what made the cues, which those of training and of sampling share."""

    def fingerprint(self) -> str:
        """Hex digest of all that the cues of a training depend on besides the rows."""
        return ""

    def for_training(self, ids: Tensor, random: Randomness) -> Cues | None:
        """Cues of the rows of a batch; some rows are left without, which guidance relies on.

        As when sampling, nothing may names a row what only its end would.

        Args:
            ids: (B, L) int64 clean tokens on the CPU; a begin token stands in front of a text, and
                end tokens behind one that is shorter.
            random: of all that is drawn, a stream for each row, on the CPU.
        """
        return None

    def for_evaluation(self, ids: Tensor) -> Cues | None:
        """Cues of held-out rows (B, L), by their first halves; nothing is drawn or left out.

        Behind its first half a row holds padding.
        """
        return None

    def for_sampling(
        self, given: Sequence[Sequence[int]], options: Mapping[str, Any]
    ) -> Cues | None:
        """Cues of rows that are to be written.

        Args:
            given: of each row, the token ids that the caller gave.
            options: what the caller says besides, by names of the conditioner's own.

        Raises:
            InferenceError: there is no cue for a row, or an option is unknown or wrong.
        """
        check_options(options)
        return None

    def used(
        self, cues: Any, score: Callable[[Any], NDArray[np.float64]]
    ) -> Sequence[tuple[Any, ...]]:
        """What to report of the cues of each of B rows that were written; frozen attrs classes.

        Args:
            cues: that the rows were written with.
            score: from cues to log-probabilities (B,), in nats, of what was written, in the
                network's first prediction; each call is an evaluation of the network.
        """
        return ()


class Conditioner(ABC):
    """What a network is conditioned on, besides its row: a module, and where its cues come from.

    The autoregressive twin has none. The module is made after all other parts of the network, so
    that these begin as they would without it; it is best silent at first, behind a gate of zero.
    """

    conditions: ClassVar[bool] = True
    """False of one that stands for none: a sequence may then hold several rows, of which each
    would have cues of its own."""
    prefix: ClassVar[str] = "conditioner"
    """Of the names of its module's tensors in a checkpoint."""

    def fault(self, backbone: Backbone) -> str | None:
        """Why it cannot serve a backbone, with the key at fault: ``heads: expected ...``."""
        return None

    @abstractmethod
    def build(self, dim: int, layers: int) -> nn.Module | None:
        """A freshly initialised module that is a `ConditionModule`; None: there is none.

        Args:
            dim: D, the width of the backbone.
            layers: how many layers inject, `Backbone.injections`.
        """

    @abstractmethod
    def open(
        self,
        surroundings: Surroundings,
        tokenizer: TrainedTokenizer,
        *,
        place: str | None = None,
        maker: str = "",
    ) -> CueSource:
        """Where the cues come from, open for reading.

        Args:
            surroundings: the configuration of the run.
            tokenizer: of its rows.
            place: what to take instead of what the fields name, as the user wrote it.
            maker: `CueSource.maker` of the training, if another is to be refused; empty: it is not.

        Raises:
            AIOSError: it cannot be used.
        """


def check_options(options: Mapping[str, Any], *known: str) -> None:
    """Refuse options that a conditioner does not have.

    Raises:
        InferenceError: one of them is unknown.
    """
    for name in options:
        if name not in known:
            names = ", ".join(known) or "none"
            raise InferenceError(f"condition: expected an option of {names}, got {name!r}")
