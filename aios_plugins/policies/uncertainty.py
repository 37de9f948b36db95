"""The level that the size of the uncertainty calls for."""

from __future__ import annotations

from attrs import field, frozen, validators

from aios_core.contracts import EvolutionPolicy
from aios_core.contracts.policy import Choice, Situation


@frozen
class Uncertainty(EvolutionPolicy):
    """Begins the higher in ``[[levels]]`` the less sure the model is of the evidence.

    A level that fails the gate is followed by the next one.
    """

    thresholds: tuple[float, ...] = field(
        default=(1.0, 3.0),
        validator=validators.deep_iterable(
            validators.and_(validators.ge(-1e6), validators.le(1e6))
        ),
    )
    """How unsure the model must be, in standard deviations above its own domain, to begin with the
    second level, the third, ..."""

    def choose(self, situation: Situation) -> list[Choice]:
        """Those from there on that have not failed."""
        uncertainty = situation.measure()
        start = sum(uncertainty >= threshold for threshold in self.thresholds)
        why = f"the model is unsure of the evidence: {uncertainty:+.2f} standard deviations"
        return situation.climb(max(0, min(start, len(situation.levels) - 1)), why)
