"""The share of samples that are right."""

from __future__ import annotations

from collections import defaultdict
from typing import ClassVar

from attrs import frozen

from aios_core.component import blamed
from aios_core.contracts import Checker, Completion, Estimate, Evidence, Metric, Row, Samples


@frozen
class Checked(Metric):
    """Share of the samples that a checker says are right.

    Where the rows of the data set give parts, a sample is what was made of those of a held-out row;
    elsewhere it is a text, of which nothing was given. Where ``sampling.num_samples`` is a
    multiple of these rows, each is tried as often, and ``solved_any`` is the share of them that at
    least one sample solves: what sampling again is worth where answers can be checked.
    """

    of: ClassVar = "samples"
    units: ClassVar = {"solved": "share", "solved_any": "share"}
    better: ClassVar = {"solved": "higher", "solved_any": "higher"}

    checker: Checker
    """What is right, as in ``{type = "sudoku"}``."""

    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """``solved`` and, of rows tried several times, ``solved_any``; each with a standard error.

        That of ``solved`` is over rows, whose samples are alike, or over samples without rows.
        """
        assert evidence.samples is not None
        of_row: dict[Row, list[float]] = defaultdict(list)
        made = completions(evidence.samples)
        with blamed(self.checker, "check"):
            for completion in made:
                of_row[completion.row].append(float(self.checker.check(completion)))
        if not evidence.samples.completions:  # equal texts are samples all the same
            verdicts = [verdict for each in of_row.values() for verdict in each]
            return {"solved": Estimate.ratio(verdicts, [1.0] * len(verdicts))}
        tries = [len(each) for each in of_row.values()]
        values = {"solved": Estimate.ratio([sum(each) for each in of_row.values()], tries)}
        if min(tries) == max(tries) > 1:
            solved = [max(each) for each in of_row.values()]
            values["solved_any"] = Estimate.ratio(solved, [1.0] * len(solved))
        return values


def completions(samples: Samples) -> tuple[Completion, ...]:
    """One for each sample; where nothing was given, all of its text is the answer."""
    return samples.completions or tuple(
        Completion(Row.of(text), text, text) for text in samples.texts
    )
