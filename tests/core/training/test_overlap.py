"""Whether rows that are measured on are trained on."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aios_core.contracts import Vocabulary
from aios_core.training.overlap import trained_on
from aios_core.training.token_rows import TokenRows

VOCABULARY = Vocabulary(size=8, mask_id=4, pad_id=5, bos_id=6, eos_id=7)
TEXTS = st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=12)


def rows(texts):
    return TokenRows.of([np.array(ids, np.int32) for ids in texts], VOCABULARY)


@given(train=TEXTS, measured=TEXTS)
def test_rows_are_counted_that_are_trained_on(train, measured):
    """Each as often as it is measured on, and no part of a longer one."""
    expected = sum(ids in train for ids in measured)

    assert expected == trained_on(rows(train), rows(measured))
