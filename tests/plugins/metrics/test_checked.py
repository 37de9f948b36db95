"""Shares of samples that are right, and that are those of the data set."""

import attrs
import pytest
import torch

from aios_core.contracts import Checker, Completion, Row, Samples, Segment
from aios_core.errors import PluginError
from aios_core.testing.contracts.metric import MetricContract, tiny_evidence
from aios_plugins.checkers.regex import Regex
from aios_plugins.checkers.sudoku import Sudoku
from aios_plugins.metrics.checked import Checked
from aios_plugins.metrics.exact_match import ExactMatch


class TestChecked(MetricContract):
    component = Checked(checker=Regex("[a-z ]+"))


def evidence(*texts, completions=()):
    ids = torch.zeros(len(texts), 4, dtype=torch.int64)
    samples = Samples(ids, texts, nfe=1, seconds=0.0, dtype="float64", completions=completions)
    return attrs.evolve(tiny_evidence(), samples=samples)


def answered(*pairs):
    """Evidence of a prompt, with a reference and an answer each."""
    made = tuple(
        Completion(
            Row((Segment("prompt", f"{number}+1=", "given"), Segment("answer", reference))),
            f"{number}+1={answer}",
            answer,
        )
        for number, (reference, answer) in enumerate(pairs)
    )
    return evidence(*(completion.text for completion in made), completions=made)


def test_solved_is_the_share_of_samples_that_are_right():
    result = Checked(checker=Regex("[0-9]")).measure(
        answered(("2", "2"), ("2", "3"), ("2", "?"), ("2", "22"))
    )["solved"]

    assert 0.5 == result.value
    assert pytest.approx((1 / 12) ** 0.5) == result.stderr, "over the rows"


def test_rows_that_are_tried_again_count_once():
    once = answered(("2", "2"), ("2", "?"), ("2", "?"))
    again = answered(("2", "2"), ("2", "3"), ("2", "?"))
    both = evidence(*("",) * 6, completions=once.samples.completions + again.samples.completions)

    result = Checked(checker=Regex("[0-9]")).measure(both)

    assert 0.5 == result["solved"].value
    assert pytest.approx(2 / 3) == result["solved_any"].value
    assert pytest.approx(1 / 3) == result["solved_any"].stderr, "of three rows, and not six samples"
    uneven = evidence(*("",) * 4, completions=both.samples.completions[:4])
    assert "solved_any" not in Checked(checker=Regex("[0-9]")).measure(uneven)


def test_where_nothing_was_given_the_whole_sample_counts():
    result = Checked(checker=Sudoku()).measure(evidence("1234341221434321", "1" * 16))["solved"]

    assert 0.5 == result.value


def test_exact_match_is_the_share_of_answers_that_are_the_row_s():
    result = ExactMatch().measure(answered(("2", "2"), ("2", "3"), ("2", "2 "), ("10", "10")))

    assert 0.5 == result["exact_match"].value


def test_exact_match_needs_a_reference():
    assert {} == ExactMatch().measure(evidence("ab", "cd"))


def test_a_checker_that_raises_is_named():
    @attrs.frozen
    class Raising(Checker):
        """Raises."""

        def check(self, completion):
            return 1 / 0

    with pytest.raises(PluginError, match="Raising: check raised ZeroDivisionError"):
        Checked(checker=Raising()).measure(evidence("ab"))
