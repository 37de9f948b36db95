"""What tokens add to a text, by where they stand."""

import numpy as np

from aios_core.contracts import Spelling, SpellingContext

WORDS = Spelling(
    (
        SpellingContext([b"a", b"b", None, b"!"], np.array([1, 1, 0, 2])),
        SpellingContext(
            [b" a", b"b", b"?", None], np.array([1, 0, 1, 1]), [b" A", b"B", None, b"."]
        ),
        SpellingContext([b"x"] * 4, np.array([2] * 4)),
    )
)


def test_a_token_adds_what_its_context_says_and_leads_to_another():
    """The last of a text may add something else, and one that adds nothing known spoils all."""
    right = {
        (): b"",
        (0,): b"a",
        (0, 0): b"a A",
        (0, 0, 0): b"a a A",
        (0, 1): b"aB",
        (0, 1, 0): b"aba",
        (0, 2): None,
        (0, 2, 1): b"a?B",
        (0, 3): b"a.",
        (0, 3, 0): None,
        (2,): None,
        (2, 0): None,
        (3, 0, 3): b"!xx",
    }

    assert right == {ids: WORDS.spell(ids) for ids in right}


def test_plain_tokens_add_the_same_everywhere():
    plain = Spelling.plain([b"a", b"", b"\xc3"])

    assert [b"aa", b"a\xc3a", None] == [plain.spell(ids) for ids in ([0, 0], [0, 2, 0], [0, 1])]
