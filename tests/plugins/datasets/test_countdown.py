"""Problems whose answers are right, each in one split."""

import re

import pytest

from aios_core.contracts import Completion
from aios_core.errors import DataError
from aios_core.testing.contracts.dataset import DatasetContract
from aios_plugins.checkers.countdown import Countdown as Checker
from aios_plugins.datasets.countdown import Countdown


class TestFour(DatasetContract):
    component = Countdown(numbers=4, problems=50, held_out=20)


def problems(data, split):
    """Sorted numbers and target of each row."""
    results = []
    for row in data.rows(split):
        *numbers, target = map(int, re.findall("[0-9]+", row.segments[0].content))
        results.append((*sorted(numbers), target))
    return results


@pytest.mark.parametrize("numbers", [2, 3, 4, 6])
def test_every_answer_is_right(numbers):
    data = Countdown(numbers=numbers, largest=40, problems=300, held_out=100)

    for split, count in (("train", 300), ("validation", 100)):
        rows = list(data.rows(split))
        assert count == len(rows)
        for row in rows:
            prompt, answer = row.segments
            assert ("prompt", "given", "answer", "target") == (
                prompt.name,
                prompt.role,
                answer.name,
                answer.role,
            )
            assert Checker().check(Completion(row, prompt.content + answer.content, answer.content))


def test_no_problem_stands_twice_whatever_the_order_of_its_numbers():
    data = Countdown(problems=3000, held_out=1000)
    train, held_out = problems(data, "train"), problems(data, "validation")

    assert 4000 == len({*train, *held_out})


def test_numbers_and_targets_are_bounded():
    data = Countdown(problems=500, held_out=10, largest=12, largest_target=20)

    for *numbers, target in problems(data, "train"):
        assert max(numbers) <= 12
        assert 1 <= target <= 20


def test_other_seeds_have_other_problems():
    first, other = (problems(Countdown(problems=100, seed=seed), "train") for seed in (0, 1))

    assert first != other


def test_more_problems_than_there_are_is_an_error():
    with pytest.raises(DataError, match=r"about [0-9]+ problems of 2 numbers up to 3 and targets"):
        list(Countdown(numbers=2, largest=3).rows("train"))
