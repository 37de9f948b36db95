"""Rows of a data set, checked and kept."""

from __future__ import annotations

import attrs
import pytest

from aios_core.contracts import Control, Dataset, Row, Segment, Source
from aios_core.contracts.dataset import SPLITS
from aios_core.errors import DataError
from aios_core.training.spool import Spool


class Some(Dataset):
    """Rows, or texts."""

    def __init__(self, *rows):
        self.own = rows

    def documents(self):
        return iter(self.own)


class Rows(Some):
    """Likewise, with the last row held out."""

    def rows(self, split):
        return iter(self.own[:-1] if split == "train" else self.own[-1:])


@pytest.mark.parametrize("kind", [Some, Rows])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        (3, "row 2: expected a str or a Row, got int"),
        (Row.of("\ud800"), "row 2: cannot be UTF-8"),
        (Row((Segment("p", 3),)), "row 2: segment 'p': expected a str, or .*, got int"),
        (Row((Segment("p", "a", "given"),)), r"row 2: expected a target that is not empty, got p"),
        (
            Row((Segment("p", "a", "given"), Segment("a", ""))),
            r"expected a target that is not empty, got p \(given\), a \(target\)",
        ),
        (Row((Segment("p", b"", modality="image"),)), "modality 'image'; expected 'text'"),
    ],
)
def test_what_is_no_row_is_refused_by_its_number(kind, row, message):
    with pytest.raises(DataError, match=message):
        Spool(kind(Row.of("a"), row, Row.of("b")), "name")


def test_rows_are_read_back_as_they_were():
    """Whatever their segments are; a split of their own is kept."""
    rows = [
        Row((Segment("prompt", "2+2=", "given"), Segment("answer", "4"))),
        Row((Segment("a", "\0", "absent"), Segment("a", "ü"), Segment("b", "", "given"))),
        Row((Segment("a", (Control("<a>"), "b", Control("c")), "given"), Segment("b", ("d", "e")))),
        Row((Segment("user", "a", "given"), Segment("assistant", "b")), chat=True, where="x:1"),
        Row.of("plain"),
    ]
    spool = Spool(Rows(*rows), "name")
    assert rows[:-1] == list(spool.rows("train"))
    assert rows[-1:] == list(spool.rows("validation"))
    assert [6, 5] == [spool.contents[part].num_bytes for part in SPLITS]
    whole = Spool(Rows(*rows), "name", whole=True)
    assert rows == list(whole.rows("whole"))
    assert ["", "", "", "x:1", ""] == [row.where for row in whole.rows("whole")]
    assert ["2+2=4", "ü", "<a>bcde", "ab", "plain"] == list(whole.texts("whole"))
    assert 11 == whole.contents["whole"].num_bytes
    plain = Spool(Some("ab", "c"), "name", whole=True).contents["whole"]
    assert plain == Spool(Rows(Row.of("ab"), Row.of("c")), "name", whole=True).contents["whole"]
    segmented = Rows(Row((Segment("x", "ab"),)), Row.of("c"))
    other = Spool(segmented, "name", whole=True).contents["whole"]
    assert plain != other, "the names of segments count"


def test_what_rows_are_does_not_depend_on_where_they_are_from():
    """But on what is a template's in them, and on who writes it."""

    def digest(**changes):
        chat = Row((Segment("user", "a", "given"), Segment("assistant", "b")), chat=True)
        return Spool(Rows(attrs.evolve(chat, **changes), Row.of("c")), "n").contents["train"].sha256

    template = (Segment("user", (Control("a"),), "given"), Segment("assistant", "b"))
    assert digest(where="x") == digest(where="y")
    several = [digest(), digest(chat=False), digest(chat=False, segments=template)]
    assert 3 == len(set(several))


def test_sources_are_kept_and_count():
    """In the digest also: what is drawn how often decides what is learned."""
    chat = (Segment("user", "a", "given"), Segment("assistant", "b"))
    rows = [
        Row((Segment("text", "ab"),), source=Source("x", 0.5)),
        Row(chat, chat=True, where="y:2", source=Source("y", 0.5)),
        Row.of("c"),
    ]
    spool = Spool(Rows(*rows), "name")
    assert rows[:2] == list(spool.rows("train"))
    assert ["", "y:2"] == [row.where for row in spool.rows("train")]
    other = [attrs.evolve(rows[0], source=Source("x", 0.25)), *rows[1:]]
    assert spool.contents["train"] != Spool(Rows(*other), "name").contents["train"]
