"""Rectangles of ids."""

import numpy as np
import pytest

from aios_core.contracts import Padding, Vocabulary
from aios_core.errors import TokenizerError

VOCABULARY = Vocabulary(size=99, mask_id=90, pad_id=91, bos_id=92, eos_id=93)
ROWS = [np.array([1, 2, 3]), np.array([], dtype=np.int32), np.array([4])]


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (Padding(), [[1, 2, 3], [91, 91, 91], [4, 91, 91]]),
        (
            Padding(max_length=3, truncation_side="left", bos=True),
            [[92, 2, 3], [92, 91, 91], [92, 4, 91]],
        ),
        (
            Padding(max_length=3, padding_side="left", eos=True, bos=True),
            [[92, 1, 93], [91, 92, 93], [92, 4, 93]],
        ),
        (
            Padding(max_length=2, padding="max_length", pad_to_multiple_of=4),
            [[1, 2, 91, 91], [91] * 4, [4, 91, 91, 91]],
        ),
        (Padding(max_length=0), [[], [], []]),
        (Padding(pad_to_multiple_of=4), [[1, 2, 3, 91], [91] * 4, [4, 91, 91, 91]]),
        (Padding(pad_to_multiple_of=3), [[1, 2, 3], [91] * 3, [4, 91, 91]]),
        (Padding(max_length=2, truncation_side="left"), [[2, 3], [91, 91], [4, 91]]),
        (Padding(max_length=9), [[1, 2, 3], [91] * 3, [4, 91, 91]]),
        (
            Padding(max_length=5, padding="max_length", padding_side="left", eos=True),
            [[91, 1, 2, 3, 93], [91, 91, 91, 91, 93], [91, 91, 91, 4, 93]],
        ),
    ],
)
def test_rows_are_cut_and_padded(padding, expected):
    ids, mask = padding.apply(ROWS, VOCABULARY)

    np.testing.assert_array_equal(np.array(expected, dtype=np.int64), ids)
    np.testing.assert_array_equal(ids != VOCABULARY.pad_id, mask)
    assert (np.int64, np.bool_) == (ids.dtype, mask.dtype)


def test_no_rows_are_a_rectangle():
    assert (0, 0) == Padding().apply([], VOCABULARY)[0].shape


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": -1}, "'max_length' must be >= 0"),
        ({"max_length": 1, "bos": True, "eos": True}, "max_length is 1; expected at least 2"),
        ({"padding": "max_length"}, "max_length is None; expected a number"),
        ({"padding_side": "up"}, "'padding_side' must be in"),
        ({"pad_to_multiple_of": 0}, "'pad_to_multiple_of' must be >= 1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Padding(**settings)


def test_what_does_not_fit_into_memory_is_an_error():
    with pytest.raises(TokenizerError, match=r"rows of .* do not fit into memory"):
        Padding(max_length=1 << 60, padding="max_length").apply(ROWS, VOCABULARY)
