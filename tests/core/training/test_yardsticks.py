"""What counts of tokens reach: of what training rows teach, on what held-out rows ask."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core.contracts import Row, Segment
from aios_core.training import token_rows, yardsticks
from aios_plugins.tokenizers.bytes import TrainedBytes

TOKENIZER = TrainedBytes()
VOCABULARY = TOKENIZER.vocabulary

segments = st.builds(
    Segment, st.just("part"), st.text("abc", max_size=4), st.sampled_from(["target", "given"])
)
some_rows = st.lists(
    st.lists(segments, min_size=1, max_size=4).map(lambda made: Row(tuple(made))),
    min_size=1,
    max_size=6,
)


def to_tokens(rows):
    with TemporaryDirectory() as folder:
        token_rows.write(Path(folder), rows, TOKENIZER)
        return token_rows.read(Path(folder), VOCABULARY, mapped=False)


@pytest.mark.parametrize("at_once", [1, 3, 1000])
@given(rows=some_rows, asked=st.text("abcd", min_size=1, max_size=9))
def test_the_unigram_is_that_of_what_is_learned(at_once, rows, asked):
    """Prompts teach nothing, and an end token is learned of every row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardsticks, "_AT_ONCE", at_once)
        held_out = SimpleNamespace(ids=np.append(TOKENIZER.encode(asked), VOCABULARY.eos_id))
        known = yardsticks.yardsticks(to_tokens(rows), held_out, VOCABULARY)
    learned = Counter("".join(row.joined("target") for row in rows)) | Counter({"": len(rows)})
    total = sum(learned.values()) + VOCABULARY.size - 1
    nats = [-math.log((learned[letter] + 1) / total) for letter in (*asked, "")]

    assert {"uniform", "unigram"} == known.keys()
    assert math.log(259) == known["uniform"]
    assert known["unigram"] == pytest.approx(sum(nats) / len(nats), rel=1e-12)


def test_it_is_a_distribution_without_masks():
    """So no predictor of this kind is flattered: all its probabilities sum to one."""
    rows = to_tokens([Row.of("aab"), Row.of("c")])
    tokens = [token for token in range(VOCABULARY.size) if token != VOCABULARY.mask_id]
    alone = (
        yardsticks.yardsticks(rows, SimpleNamespace(ids=np.array([token])), VOCABULARY)["unigram"]
        for token in tokens
    )
    assert sum(math.exp(-nats) for nats in alone) == pytest.approx(1.0, rel=1e-12)


def test_without_the_rows_that_were_learned_from_there_is_no_unigram():
    known = yardsticks.yardsticks(None, SimpleNamespace(ids=np.array([3])), VOCABULARY)
    assert {"uniform": math.log(259)} == known
