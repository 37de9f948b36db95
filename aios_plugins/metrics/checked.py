"""The share of samples that are right."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from aios_core.component import blamed
from aios_core.contracts import Checker, Completion, Estimate, Evidence, Metric, Row, Samples


@frozen
class Checked(Metric):
    """Share of the samples that a checker says are right.

    Where the rows of the data set give parts, a sample is what was made of those of a held-out row;
    elsewhere it is a text, of which nothing was given.
    """

    of: ClassVar = "samples"
    units: ClassVar = {"solved": "share"}
    better: ClassVar = {"solved": "higher"}

    checker: Checker
    """What is right, as in ``{type = "sudoku"}``."""

    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """``solved``, standard error over samples."""
        assert evidence.samples is not None
        with blamed(self.checker, "check"):
            verdicts = [
                float(self.checker.check(completion))
                for completion in completions(evidence.samples)
            ]
        return {"solved": Estimate.ratio(verdicts, [1.0] * len(verdicts))}


def completions(samples: Samples) -> tuple[Completion, ...]:
    """One for each sample; where nothing was given, all of its text is the answer."""
    return samples.completions or tuple(
        Completion(Row.of(text), text, text) for text in samples.texts
    )
