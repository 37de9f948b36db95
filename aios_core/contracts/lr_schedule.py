"""Schedules of the learning rate: how large the steps of an optimizer are, from first to last."""

from __future__ import annotations

from abc import ABC, abstractmethod


class LrSchedule(ABC):
    """A learning rate for each step: a linear warm-up to the peak, and then a share of the peak.

    Write `share`. One that does not follow this form writes `rate` as well.
    """

    @abstractmethod
    def share(self, progress: float) -> float:
        """Share of the peak, from 0 to 1.

        Args:
            progress: steps since the warm-up, as a share of those after it; 0 <= progress < 1.
        """

    def rate(self, step: int, *, steps: int, peak: float, warmup: int) -> float:
        """The learning rate of a step; it depends on nothing else.

        Args:
            step: its number, from 0.
            steps: of the whole training, ``training.steps``.
            peak: ``training.learning_rate``, which no rate is above.
            warmup: ``training.warmup_steps``; it may be 0, or more than there are steps.
        """
        if step < warmup:
            return peak * (step + 1) / warmup
        return peak * self.share((step - warmup) / max(1, steps - warmup))
