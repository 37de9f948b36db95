"""The share of answers that are those of the data set."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from aios_core.contracts import Estimate, Evidence, Metric


@frozen
class ExactMatch(Metric):
    """Share of the answers that equal that of the held-out row, character by character.

    Where more than one answer is right, ``checked`` with a checker counts all of them.
    """

    of: ClassVar = "samples"
    units: ClassVar = {"exact_match": "share"}
    better: ClassVar = {"exact_match": "higher"}

    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """``exact_match``, standard error over samples; nothing where no parts are given."""
        assert evidence.samples is not None
        same = [
            float(completion.answer == completion.row.joined("target"))
            for completion in evidence.samples.completions
        ]
        return {"exact_match": Estimate.ratio(same, [1.0] * len(same))} if same else {}
