"""A schedule given by points."""

from __future__ import annotations

from typing import Any

import torch
from attrs import Attribute, field, frozen
from torch import Tensor

from aios_plugins.noise._monotone import MonotoneCurve


@frozen
class Custom(MonotoneCurve):
    """A smooth schedule through given points, for what has no formula: a table, or a measured one.

    Between the points alpha is the monotone cubic of Fritsch and Carlson (SIAM J. Numer. Anal. 17,
    1980): it passes through them all, has a slope everywhere, and falls wherever they do.
    """

    points: tuple[tuple[float, float], ...] = field(
        default=((0.0, 1.0), (0.25, 0.8), (0.75, 0.2), (1.0, 0.0))
    )
    """Pairs of t and alpha(t), both without equals, t rising from 0 to 1 and alpha falling from 1,
    or 0.999 at least, to 0, or 0.001 at most."""

    @points.validator
    def _fall(self, attribute: Attribute[Any], value: tuple[tuple[float, float], ...]) -> None:
        t, alpha = [list(column) for column in zip(*value, strict=True)] if value else ([], [])
        if len(t) < 2 or t[0] != 0 or t[-1] != 1 or t != sorted(set(t)):
            raise ValueError(f"expected t to rise from 0 to 1, got {t[:9]}")
        if not (0.999 <= alpha[0] <= 1 and 0 <= alpha[-1] <= 1e-3):
            raise ValueError(f"expected alpha from 1 to 0, got {alpha[0]} and {alpha[-1]}")
        if alpha[::-1] != sorted(set(alpha)):
            raise ValueError(f"expected alpha to fall, got {alpha[:9]}")

    def points_on(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The points as they are given."""
        times, alpha = torch.tensor(
            self.points, dtype=torch.float64, device=t.device
        ).T.contiguous()
        return times, 1 - alpha
