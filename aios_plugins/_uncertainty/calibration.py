"""What an uncertainty means: probabilities that hold, and a threshold that seldom calls falsely."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from attrs import asdict, field, frozen, validators

from aios_core import strict_json
from aios_core.errors import ModelLoadError
from aios_core.files import replace_text
from aios_plugins._uncertainty.estimators import RATES, Scores

if TYPE_CHECKING:
    from aios_core.contracts import MaskLevel

NAME: Final = "uncertainty.json"
"""In the folder of a run."""
FALSE_TRIGGERS: Final = 0.03
"""Share of texts like those of the training that the threshold lets trigger."""
FEWEST: Final = math.ceil(1 / FALSE_TRIGGERS) - 1
"""Texts below which no threshold errs as rarely: one of 33 and the next is the largest in 3 %."""

_GRID: Final = np.geomspace(0.25, 4, 17)
"""Temperatures that are tried, 19 % apart; between them a parabola is fitted."""

_numbers = validators.deep_iterable(validators.instance_of(float))
_tables = validators.deep_mapping(validators.instance_of(str), _numbers)


class Temperatures:
    """Fits a temperature for each share of masks, to texts that come in parts.

    The one under which the hidden tokens are likeliest, by one number: Guo et al.
    (arXiv 1706.04599), here for each bucket of times, for how sure a network is depends on it.
    """

    def __init__(self) -> None:
        self._nats = np.zeros((len(RATES), len(_GRID)))

    def add(self, level: MaskLevel) -> None:
        """Take a level of some texts into account."""
        said = level.said
        for column, temperature in enumerate(_GRID):
            norm = (level.log_probs / temperature).logsumexp(-1)
            nats = (norm - said / temperature).sum().item()
            self._nats[RATES.index(level.rate), column] += nats

    def fitted(self) -> tuple[float, ...]:
        """One for each of `RATES`."""
        temperatures = []
        for nats, column in zip(self._nats, self._nats.argmin(1), strict=True):
            offset = 0.0
            if 0 < column < len(_GRID) - 1:
                left, middle, right = nats[column - 1 : column + 2]
                offset = 0.5 * (left - right) / (left - 2 * middle + right)
            temperatures.append(float(_GRID[column] * (_GRID[1] / _GRID[0]) ** offset))
        return tuple(temperatures)


@frozen(kw_only=True)
class Calibration:
    """What was learned from texts like those of the training."""

    training_key: str = field(validator=validators.instance_of(str))
    """Of the run that it belongs to."""
    texts: int = field(validator=validators.instance_of(int))
    """How many it was learned from."""
    temperatures: tuple[float, ...] = field(validator=_numbers)
    """One for each share of masks."""
    centre: Mapping[str, tuple[float, ...]] = field(validator=_tables)
    """By estimator: its mean at each share of masks."""
    scale: Mapping[str, tuple[float, ...]] = field(validator=_tables)
    """Likewise its standard deviation."""
    thresholds: Mapping[str, float] = field(
        validator=validators.deep_mapping(
            validators.instance_of(str), validators.instance_of(float)
        )
    )
    """By estimator: more than this is unsure."""

    @classmethod
    def of(
        cls,
        training_key: str,
        temperatures: tuple[float, ...],
        scores: Scores,
        share: float = FALSE_TRIGGERS,
    ) -> Self:
        """Learn from the scores of texts by at least one estimator.

        The threshold is the conformal quantile: were the next text exchangeable with these, it
        would be above with probability at most ``share`` (Vovk et al., 2005).
        """
        centre = {name: values.mean(0) for name, values in scores.items()}
        # Where all texts agree, as of flips of a network that learned nothing, the unit is as good.
        spread = {name: values.std(0) for name, values in scores.items()}
        scale = {
            name: np.where(deviation > 1e-6, deviation, 1.0) for name, deviation in spread.items()
        }
        thresholds = {}
        for name, values in scores.items():
            total = np.sort(((values - centre[name]) / scale[name]).mean(1))
            rank = math.ceil((len(total) + 1) * (1 - share))
            thresholds[name] = float(total[rank - 1]) if rank <= len(total) else math.inf
        return cls(
            training_key=training_key,
            texts=len(next(iter(scores.values()))),
            temperatures=temperatures,
            centre={name: tuple(map(float, values)) for name, values in centre.items()},
            scale={name: tuple(map(float, values)) for name, values in scale.items()},
            thresholds=thresholds,
        )

    def total(self, scores: Scores) -> Scores:
        """(N,) by estimator: how many standard deviations above what is usual, over all levels."""
        return {
            name: ((values - self.centre[name]) / self.scale[name]).mean(axis=1)
            for name, values in scores.items()
        }

    def tempered(self, levels: Iterable[MaskLevel]) -> Iterable[MaskLevel]:
        """Levels under the temperatures."""
        for level, temperature in zip(levels, self.temperatures, strict=True):
            yield level.tempered(temperature)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        replace_text(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelLoadError: it is missing or damaged.
        """
        try:
            return cls(**strict_json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise ModelLoadError(
                f"{path}: is missing; expected `aios uncertainty calibrate {path.parent}` first"
            ) from None
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise ModelLoadError(f"{path}: is damaged: {error!r:.200}") from error
