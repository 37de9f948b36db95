"""Texts ranked by the words they share with a query, in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np

from aios_core.memory.words import words

if TYPE_CHECKING:
    from numpy.typing import NDArray

K1: Final = 1.2
"""How soon a word that is repeated counts no more; Lucene's value."""
B: Final = 0.75
"""How much long texts are held back; Lucene's value."""


class Bm25:
    """An inverted index of rows by word.

    Args:
        texts: of all rows that there are; None has no words.
    """

    def __init__(self, texts: Iterable[str | None]) -> None:
        self._postings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        lengths = []
        for row, text in enumerate(texts):
            counts = Counter(words(text or ""))
            lengths.append(counts.total())
            for word, count in counts.items():
                self._postings[word].append((row, count))
        self._lengths = np.array(lengths, dtype=np.float64)
        self._mean = max(float(self._lengths.mean()), 1.0) if lengths else 1.0

    def scores(self, query: str) -> NDArray[np.float64]:
        """(N,): for each word of the query idf f (K1 + 1) / (f + K1 (1 - B + B l / mean l)).

        f is how often the word is in the text, l how long the text is; the idf is
        log(1 + (N - n + 1/2) / (n + 1/2)) for a word in n of N texts (Robertson and Zaragoza 2009,
        in the variant of Lucene that is never negative). 0 for a text without any of the words.
        """
        scores = np.zeros(len(self._lengths))
        for word in set(words(query, query=True)):
            if postings := self._postings.get(word):
                rows, counts = (np.array(column) for column in zip(*postings, strict=True))
                n = len(rows)
                idf = np.log1p((len(scores) - n + 0.5) / (n + 0.5))
                long = 1 - B + B * self._lengths[rows] / self._mean
                scores[rows] += idf * counts * (K1 + 1) / (counts + K1 * long)
        return scores
