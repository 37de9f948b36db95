"""The variety of phrases over all samples."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen, validators

from aios_core.contracts import Estimate, Evidence, Metric


@frozen
class Distinct(Metric):
    """Share of the n-grams of all samples together that differ (Li et al., arXiv 1510.03055).

    It falls as more text is sampled, so compare equal amounts only. Being a property of the whole
    set it has no standard error.
    """

    of: ClassVar = "samples"
    better: ClassVar = {f"distinct_{n}": "nearer" for n in range(1, 9)}

    n: tuple[int, ...] = field(
        default=(2, 3),
        validator=validators.deep_iterable(
            validators.and_(validators.ge(1), validators.le(8)), validators.min_len(1)
        ),
    )
    """Lengths of the n-grams, in tokens."""

    @property
    def names(self) -> frozenset[str]:
        """``distinct_N`` for each N."""
        return frozenset(f"distinct_{n}" for n in self.n)

    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """``distinct_N`` for each N, leaving out those longer than a sample."""
        assert evidence.samples is not None
        sampled = evidence.samples.sequences
        pairs = zip(sampled.ids, sampled.targets, strict=True)
        rows = [ids[targets].tolist() for ids, targets in pairs]
        values = {}
        for n in self.n:
            grams = [tuple(row[i : i + n]) for row in rows for i in range(len(row) - n + 1)]
            if grams:
                values[f"distinct_{n}"] = Estimate(len(set(grams)) / len(grams))
        return values
