"""No conditioner."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from aios_core.contracts import Conditioner, CueSource

if TYPE_CHECKING:
    from aios_core.contracts import TrainedTokenizer
    from aios_core.contracts.conditioner import Surroundings


@frozen
class Unconditioned(Conditioner):
    """The network attends to its row and nothing else."""

    conditions: ClassVar = False

    def build(self, dim: int, layers: int) -> None:
        """No module."""

    def open(
        self,
        surroundings: Surroundings,
        tokenizer: TrainedTokenizer,
        *,
        place: str | None = None,
        maker: str = "",
    ) -> CueSource:
        """A source of no cues."""
        return CueSource()
