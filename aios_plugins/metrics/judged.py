"""Whether what was made is what was asked for, and whether it looks real: accuracy and FID."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from attrs import field, frozen, validators

from aios_core.contracts import Estimate
from aios_core.contracts.generations import JointMetric
from aios_core.errors import DataError
from aios_plugins.metrics._judge import Judge, frechet, trained

if TYPE_CHECKING:
    from aios_core.contracts import Row
    from aios_core.contracts.generations import Generated, Generations

_FEWEST: Final = 65
"""Samples from which 64 features have a covariance of full rank."""


@frozen
class Judged(JointMetric):
    """Share of what was made that is of the class asked for, by a judge trained here, and its FID.

    The class of a row is its text. Texts are compared as they are; pictures and sounds are judged
    by a small network, trained on the training split, whose own accuracy is given beside. Accuracy
    alone prefers the mean of a class to what is real (a single step from noise gave .9995), so the
    Frechet distance to held-out items on the features of the judge is always beside it, and the
    same of training items as its floor. It falls with the number of samples: compare at one number.
    """

    units: ClassVar = {"accuracy": "share", "agreement": "share", "entropy": "nats", "fid": ""}
    better: ClassVar = {
        "accuracy": "higher",
        "agreement": "higher",
        "entropy": "higher",
        "fid": "lower",
    }

    label: str = field(default="text", validator=validators.min_len(1))
    """Name of the segment that says the class of a row."""
    passes: int = field(default=4, validator=[validators.ge(1), validators.le(1000)])
    """Of the judges' training over the rows."""

    def judge(self, generations: Generations) -> dict[str, Estimate]:
        """``accuracy`` and ``fid`` of each direction, of judges and floors; ``agreement``.

        Raises:
            DataError: no row has a label, or all have one.
        """
        names = sorted({_label(row, self.label) for row in generations.train} - {""})
        if len(names) < 2:
            raise DataError(
                f"the rows have {len(names)} different segments {self.label!r}; expected two "
                "classes at least"
            )
        numbers = {name: number for number, name in enumerate(names)}
        seen = [name for name in generations.media if name != self.label]
        judges = {name: self._trained(generations, name, numbers) for name in seen}
        values: dict[str, Estimate] = {}
        real = {}
        for name, judge in judges.items():
            held_out = _items(generations.held_out, name)
            real[name] = judge(held_out)[1]
            train = _items(generations.train, name)
            floor = judge(train[:: max(len(train) // len(held_out), 1)][: len(held_out)])[1]
            values[f"judge>{name}.accuracy"] = Estimate(judge.accuracy)
            if len(held_out) >= _FEWEST:
                values[f"floor>{name}.fid"] = Estimate(frechet(floor, real[name]))
        for made in generations.made:
            said = {name: self._said(made, name, judges, numbers) for name in made.made}
            for name, (classes, features) in said.items():
                if made.given:
                    place = f"{made.name}.{name}" if len(made.made) > 1 else made.name
                    right = self._expected(made, numbers) == classes
                    values[f"{place}.accuracy"] = _share(right)
                elif name == self.label:
                    values[f"{made.name}.{name}.valid"] = _share(classes >= 0)
                if features is not None and min(len(features), len(real[name])) >= _FEWEST:
                    place = f"{made.name}.{name}" if len(made.made) > 1 else made.name
                    values[f"{place}.fid"] = Estimate(frechet(features, real[name]))
            if len(made.made) > 1:
                values |= _agreement(made, [classes for classes, _ in said.values()], len(names))
        return values

    def _trained(self, generations: Generations, name: str, numbers: dict[str, int]) -> Judge:
        parts: list[Any] = []
        for rows in (generations.train, generations.held_out):
            own = [row for row in rows if _label(row, self.label) in numbers and _has(row, name)]
            labels = np.array([numbers[_label(row, self.label)] for row in own], np.int64)
            parts += [_items(own, name), labels]
        if not len(parts[0]) or not len(parts[2]):
            raise DataError(
                f"no row has both {self.label!r} and {name!r}; expected some in each split"
            )
        return trained(*parts, seed=generations.seed, passes=self.passes)

    def _said(
        self, made: Generated, name: str, judges: dict[str, Judge], numbers: dict[str, int]
    ) -> tuple[Any, Any]:
        """(N,) classes, -1 where a text is of none, and features of pictures and sounds."""
        items = made.items[name]
        if name == self.label:
            return np.array([numbers.get(item, -1) for item in items]), None
        return judges[name](items)

    def _expected(self, made: Generated, numbers: dict[str, int]) -> Any:
        return np.array([numbers.get(_label(row, self.label), -2) for row in made.rows])


def _share(right: Any) -> Estimate:
    return Estimate.ratio(right.astype(float).tolist(), [1.0] * len(right))


def _agreement(made: Generated, classes: Sequence[Any], count: int) -> dict[str, Estimate]:
    """How often all segments of a row say one class, and how evenly classes are in use."""
    whole = np.stack(classes)
    same = (whole == whole[0]).all(0) & (whole[0] >= 0)
    shares = np.bincount(whole[-1][whole[-1] >= 0], minlength=count) / max(whole.shape[1], 1)
    entropy = float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
    return {
        f"{made.name}.agreement": _share(same),
        f"{made.name}.entropy": Estimate(entropy),
    }


def _label(row: Row, name: str) -> str:
    return next((s.text for s in row.segments if s.name == name and s.role != "absent"), "")


def _has(row: Row, name: str) -> bool:
    return any(segment.name == name and segment.role != "absent" for segment in row.segments)


def _items(rows: Sequence[Row], name: str) -> list[Any]:
    return [segment.content for row in rows for segment in row.segments if segment.name == name]
