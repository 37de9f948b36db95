"""What a network of several modalities made of held-out rows, and metrics of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from attrs import frozen

from aios_core.contracts.metric import Estimate, Metric

if TYPE_CHECKING:
    from aios_core.contracts.metric import Evidence
    from aios_core.contracts.rows import Row


@frozen(eq=False)
class Generated:
    """Segments that were made from others."""

    given: tuple[str, ...]
    """Names of segments; empty: from nothing."""
    made: tuple[str, ...]
    """Likewise."""
    rows: tuple[Row, ...]
    """Held-out rows whose segments were given, N; they also say what was to be expected."""
    items: Mapping[str, Sequence[Any]]
    """N items of each segment that was made."""
    nfe: int
    """Calls of the network."""

    @property
    def name(self) -> str:
        """As in ``"text>image"``."""
        return f"{'+'.join(self.given)}>{'+'.join(self.made)}"


@frozen(eq=False)
class Generations:
    """All that was made, beside real rows."""

    seed: int
    """Of the run."""
    train: Sequence[Row]
    held_out: Sequence[Row]
    made: tuple[Generated, ...]
    media: Mapping[str, Literal["text/plain", "image/png", "audio/wav"]]
    """What each segment is to a person."""


class JointMetric(Metric):
    """A metric of what a network of several modalities made; others do not apply to it.

    Values of a direction are named by it, as ``"text>image.accuracy"``; `units` and `better` name
    what stands behind the point.
    """

    of: ClassVar[Literal["model", "samples"]] = "samples"

    @final
    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """Nothing: texts alone are not judged by it."""
        return {}

    @abstractmethod
    def judge(self, generations: Generations) -> dict[str, Estimate]:
        """Named values.

        Raises:
            DataError: rows lack what is judged by.
        """
