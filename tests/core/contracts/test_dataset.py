"""How texts are split."""

import pytest

from aios_core.contracts import Dataset
from aios_core.contracts.dataset import border, cut


class Some(Dataset):
    def __init__(self, *documents):
        self.own = documents

    def documents(self):
        yield from self.own


@pytest.mark.parametrize(
    ("documents", "train", "validation"),
    [
        (["a" * 50, "", "b" * 50], ["a" * 50, "b" * 40], ["b" * 10]),
        (["a" * 90, "b" * 10], ["a" * 90], ["b" * 10]),
        (["a" * 80, "b" * 15, "c" * 5], ["a" * 80, "b" * 10], ["b" * 5, "c" * 5]),
        (["ü" * 1000], ["ü" * 900], ["ü" * 100]),
    ],
)
def test_the_last_tenth_of_the_characters_is_held_out(documents, train, validation):
    """By position, and the document on the border is cut in two there."""
    result = Some(*documents)

    assert train == list(result.texts("train"))
    assert validation == list(result.texts("validation"))


def test_documents_are_read_once_for_both_splits():
    class Once(Some):
        def documents(self):
            self.times = getattr(self, "times", 0) + 1
            return iter(self.own)

    dataset = Once("a" * 80, "", "b" * 15, "ü" * 5)
    rows = list(dataset.parted())

    assert 1 == dataset.times
    assert {split: list(dataset.rows(split)) for split in ("train", "validation")} == {
        split: [row for of, row in rows if of == split] for split in ("train", "validation")
    }


def test_any_border_loses_nothing():
    documents = ["abc", "", "d", "ef"]
    for at in range(7):
        train, rest = (list(cut(documents, at, split)) for split in ("train", "validation"))
        assert "abcdef"[:at] == "".join(train)
        assert "abcdef"[at:] == "".join(rest)
        assert all([*train, *rest])
    assert [0, 1, 9, 90, 91, 900_000] == [border(n) for n in (0, 1, 10, 100, 101, 10**6)]
