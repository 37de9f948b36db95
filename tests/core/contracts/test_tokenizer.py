"""Ids and the vocabulary that they are of."""

import numpy as np
import pytest

from aios_core.contracts import Vocabulary
from aios_core.errors import TokenizerError

VOCABULARY = Vocabulary(size=7, mask_id=3, pad_id=4, bos_id=5, eos_id=6)


@pytest.mark.parametrize(
    "ids", [[], [0, 6], (6, 0, 3), np.array([], np.float64), np.array([2, 5], np.uint8), range(7)]
)
def test_ids_of_a_vocabulary_are_one_row_of_int32(ids):
    """Also none, of whatever type; the special ones belong to it."""
    result = VOCABULARY.check(ids)

    assert np.int32 == result.dtype
    assert list(ids) == result.tolist()
    assert (3, 4, 5, 6) == VOCABULARY.special_ids


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([0, 7], "id 7 is not in the vocabulary; expected 0 to 6"),
        ([3, -1], "id -1 is not in the vocabulary"),
        ([2**32], "id 4294967296 is not"),
        (np.array([2**64 - 1], np.uint64), "id 18446744073709551615 is not"),
        ([0.0, 1.0], "ids are float64 of shape"),
        ([True], "ids are bool"),
        (["1"], "ids are <U1"),
        ([[1, 2]], r"of shape \(1, 2\)"),
        (3, r"of shape \(\)"),
        (np.empty((0, 2), np.int64), r"of shape \(0, 2\)"),
    ],
)
def test_what_are_no_ids_is_refused(ids, message):
    with pytest.raises(TokenizerError, match=message):
        VOCABULARY.check(ids)
