"""Rows of a split as token ids, mapped from the cache."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from attrs import frozen

from aios_core.contracts import Source
from aios_core.errors import DataError
from aios_core.files import replace_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.contracts import Row, TrainedTokenizer, Vocabulary

_IDS, _ENDS, _SEGMENTS, _NAMES = "ids.i32", "ends.i64", "segments.npy", "names.json"
_SOURCE, _SOURCES = "source.i32", "sources.json"
_SEGMENT: Final = np.dtype([("end", "<i8"), ("name", "<i4"), ("given", "?")])


@frozen(eq=False)
class TokenRows:
    """Rows, each with an end token behind it; begin tokens are not kept."""

    ids: NDArray[np.int32]
    """(n,) int32."""
    ends: NDArray[np.int64]
    """(R,) where each row ends, its end token included."""
    segments: NDArray[np.void] | None
    """(S,) where each segment ends, its name and whether it is given, of all rows one behind the
    other; the end token belongs to none. None: every row is one target."""
    of_row: NDArray[np.int64] | None
    """(R,) where the segments of each row end."""
    names: tuple[str, ...]
    """Of segments, by number."""
    vocabulary: Vocabulary
    source: NDArray[np.int32] | None = None
    """(R,) number of the source that each row is drawn with; None: each row is drawn alike."""
    sources: tuple[Source, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[NDArray[np.int32]], vocabulary: Vocabulary) -> Self:
        """Rows of one target each."""
        end = np.array([vocabulary.eos_id], np.int32)
        parts = [np.append(ids, end) for ids in texts]
        ids = np.concatenate([np.empty(0, np.int32), *parts])
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        return cls(ids, ends, None, None, (), vocabulary)

    def __len__(self) -> int:
        """R."""
        return len(self.ends)

    @property
    def starts(self) -> NDArray[np.int64]:
        """(R,) where each row starts."""
        return np.append(0, self.ends[:-1])

    @property
    def has_given(self) -> bool:
        """Whether a row gives a part."""
        return self.segments is not None and bool(self.segments["given"].any())

    @property
    def learned(self) -> int:
        """Tokens that are not given."""
        if self.segments is None:
            return len(self.ids)
        given = self.segments["given"]
        return len(self.ids) - int((self.segments["end"] - segment_starts(self))[given].sum())

    def targets(self) -> NDArray[np.bool_]:
        """(n,) what is learned of `ids`: all but what is given."""
        learned = np.ones(len(self.ids), dtype=bool)
        if self.segments is not None:
            edges = np.zeros(len(self.ids) + 1, np.int8)
            starts = segment_starts(self)
            given = self.segments["given"]
            np.add.at(edges, starts[given], 1)
            np.add.at(edges, self.segments["end"][given], -1)
            learned = np.cumsum(edges[:-1]) == 0
        return learned

    def first(self, rows: int) -> TokenRows:
        """The first rows, to be measured on: whatever source they are of."""
        end = int(self.ends[rows - 1])
        segments, of_row = self.segments, self.of_row
        if of_row is not None and segments is not None:
            of_row = of_row[:rows]
            segments = segments[: of_row[-1]]
        return TokenRows(
            self.ids[:end], self.ends[:rows], segments, of_row, self.names, self.vocabulary
        )


def segment_starts(rows: TokenRows) -> NDArray[np.int64]:
    """(S,) where each segment starts."""
    assert rows.segments is not None
    assert rows.of_row is not None
    starts = np.append(0, rows.segments["end"][:-1])
    first = np.append(0, rows.of_row[:-1])
    starts[first] = rows.starts
    return starts


def written(row: Row, tokenizer: TrainedTokenizer) -> Row:
    """A row with what the tokenizer's own template adds to a chat."""
    return tokenizer.chat(row) if row.chat else row


def write(folder: Path, rows: Iterable[Row], tokenizer: TrainedTokenizer) -> None:
    """Keep rows as token ids in a folder.

    Raises:
        DataError: some rows have a source, and others have none.
        TokenizerError: the tokenizer cannot encode a text.
        DataError: its template refuses a chat.
    """
    names: dict[str, int] = {}
    ends: list[int] = []
    segments: list[tuple[int, int, bool]] = []
    of_row: list[int] = []
    sources: dict[Source | None, int] = {}
    source: list[int] = []
    plain, end = True, 0
    eos = np.array(tokenizer.vocabulary.eos_id, "<i4").tobytes()
    with (folder / _IDS).open("wb") as file:
        for row in rows:
            plain = plain and row.text is not None
            for segment in written(row, tokenizer).segments:
                if segment.role == "absent":
                    continue
                ids = tokenizer.encode_content(segment.content).astype("<i4")
                file.write(ids.tobytes())
                end += len(ids)
                number = names.setdefault(segment.name, len(names))
                segments.append((end, number, segment.role == "given"))
            file.write(eos)
            end += 1
            ends.append(end)
            of_row.append(len(segments))
            source.append(sources.setdefault(row.source, len(sources)))
    if None in sources and len(sources) > 1:
        raise DataError(
            f"{source.count(sources[None])} of {len(source)} rows have no source, and the others "
            "have one; expected that all have one, or none"
        )
    if None not in sources:
        np.array(source, "<i4").tofile(folder / _SOURCE)
        pairs = [[each.name, each.share] for each in sources if each is not None]
        replace_text(folder / _SOURCES, json.dumps(pairs))
    np.array(ends, "<i8").tofile(folder / _ENDS)
    if not plain:
        np.save(folder / _SEGMENTS, np.array(segments, _SEGMENT))
        np.save(folder / f"rows-{_SEGMENTS}", np.array(of_row, "<i8"))
        replace_text(folder / _NAMES, json.dumps(list(names)))


def read(folder: Path, vocabulary: Vocabulary, *, mapped: bool = True) -> TokenRows:
    """What `write` kept, mapped or read."""
    segments = of_row = None
    names: list[str] = []
    if (folder / _SEGMENTS).exists():
        array: Any = partial(np.load, mmap_mode="r" if mapped else None, allow_pickle=False)
        segments, of_row = array(folder / _SEGMENTS), array(folder / f"rows-{_SEGMENTS}")
        names = json.loads((folder / _NAMES).read_text())
    load: Any = partial(np.memmap, mode="r") if mapped else np.fromfile
    source, sources = None, list[Source]()
    if (folder / _SOURCES).exists():
        source = load(folder / _SOURCE, dtype="<i4")
        sources = [Source(*pair) for pair in json.loads((folder / _SOURCES).read_text())]
    return TokenRows(
        load(folder / _IDS, dtype="<i4"),
        load(folder / _ENDS, dtype="<i8"),
        segments,
        of_row,
        tuple(names),
        vocabulary,
        source,
        tuple(sources),
    )
