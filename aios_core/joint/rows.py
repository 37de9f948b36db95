"""Rows of segments as states of a network: read once, encoded, and kept in memory."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import frozen

from aios_core.component import blamed
from aios_core.contracts import Continuous
from aios_core.diffusion.joint_loss import Segments
from aios_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aios_core.config import Resolved
    from aios_core.contracts import Codec, Dataset, Modality, Row, Split

log = logging.getLogger(__name__)


@frozen(eq=False)
class Columns:
    """Rows of a split, segment by segment."""

    states: Mapping[str, NDArray[Any]]
    """(N, L) int32 or (N, L, C) float32 by name; zeros where a row has none."""
    present: Mapping[str, NDArray[np.bool_]]
    """(N,)"""
    given: Mapping[str, NDArray[np.bool_]]
    """(N,) whether the data set gives a segment, so that it is never made."""

    def __len__(self) -> int:
        return len(next(iter(self.present.values())))

    def chosen(self, rows: Sequence[int] | NDArray[np.int64]) -> Segments:
        """Some rows, all of what is there noised but what is given."""
        clean = {name: torch.from_numpy(_wide(each[rows])) for name, each in self.states.items()}
        present = {name: torch.from_numpy(each[rows]) for name, each in self.present.items()}
        targets = {
            name: torch.from_numpy(self.present[name][rows] & ~self.given[name][rows])[:, None]
            .expand(each.shape[:2])
            .clone()
            for name, each in clean.items()
        }
        return Segments(clean, targets, present)

    @property
    def fingerprint(self) -> str:
        """Hex digest of all of it."""
        digest = hashlib.sha256()
        for name in sorted(self.states):
            digest.update(name.encode() + b"\0")
            for each in (self.states[name], self.present[name], self.given[name]):
                digest.update(np.ascontiguousarray(each).tobytes())
        return digest.hexdigest()


def _wide(state: NDArray[Any]) -> NDArray[Any]:
    """Tokens as torch indexes by them."""
    return state.astype(np.int64) if state.dtype.kind in "iu" else state


Groups = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
"""Names of segments that some rows have, and of those that the data set gives."""


@frozen(eq=False, slots=False)
class JointRows:
    """All that training and evaluation need of a data set of several modalities."""

    codecs: Mapping[str, Codec]
    train: Columns
    held_out: Columns
    dataset: Dataset

    @property
    def maker(self) -> str:
        """Hex digest of the codecs, by which states are what they are, and of `groups`."""
        return maker_of(self.codecs, self.groups)

    @cached_property
    def groups(self) -> Groups:
        """Which segments rows to train on have, and which of these the data set gives."""
        names = sorted(self.codecs)
        columns = [self.train.present[name] for name in names]
        columns += [self.train.given[name] for name in names]
        return tuple(
            (_named(names, row[: len(names)]), _named(names, row[len(names) :]))
            for row in np.unique(np.stack(columns, -1), axis=0)
        )

    @property
    def fingerprint(self) -> str:
        """Hex digest of both splits and the codecs."""
        return digest((self.train.fingerprint, self.held_out.fingerprint, self.maker))

    def rows(self, split: Split) -> Iterator[Row]:
        """The rows of a split as the data set has them."""
        return self.dataset.rows(split)


def _named(names: Sequence[str], marks: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(name for name, mark in zip(names, marks, strict=True) if mark)


def maker_of(codecs: Mapping[str, Codec], groups: Groups) -> str:
    """Hex digest of codecs, and of the segments that rows have."""
    own = [f"{name} {codecs[name].fingerprint}" for name in sorted(codecs)]
    return digest([*own, json.dumps(groups)])


def digest(parts: Iterable[str]) -> str:
    """Hex SHA-256 of several digests, in their order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def prepare(resolved: Resolved, codecs: Mapping[str, Codec] | None = None) -> JointRows:
    """Fit the codecs to the training split and encode both splits.

    Args:
        resolved: the configuration.
        codecs: those of a run, by name, where there are some; nothing is fitted then.

    Raises:
        DataError: a row has a segment of no modality or of a name twice, an item is not what its
            modality says, or a split has no row.
    """
    config = resolved.config
    modalities = {modality.name: modality for modality in config.modalities}
    # Items are smaller than their states, and a data set may take long to make them.
    splits: dict[str, list[Row]] = {
        split: list(config.dataset.rows(split)) for split in ("train", "validation")
    }
    if codecs is None:
        codecs = {}
        for name, modality in modalities.items():
            at = [""]
            try:
                with blamed(modality, "fit"):
                    codecs[name] = modality.fit(_items(splits["train"], name, modalities, at))
            except DataError as error:
                if not at[0]:  # it is about no row, or names it
                    raise
                raise DataError(f"{at[0]}: segment {name!r}: {error}") from error
    parts = {split: _encoded(rows, split, codecs, modalities) for split, rows in splits.items()}
    return JointRows(codecs, parts["train"], parts["validation"], config.dataset)


def _items(
    rows: Iterable[Row], name: str, modalities: Mapping[str, Modality], at: list[str]
) -> Iterator[Any]:
    """What the rows to train on have of a modality, one after the other; `at` is where from."""
    some = False
    for row in rows:
        segment = _segments(row, modalities).get(name)
        if segment is not None:
            some = True
            at[0] = row.where
            yield segment.content
            at[0] = ""
    if not some:
        raise DataError(
            f"modalities: no row of the training split has a segment {name!r}; expected the names "
            "of segments of the data set"
        )


def _segments(row: Row, modalities: Mapping[str, Modality]) -> dict[str, Any]:
    """The segments of a row that are there, by name.

    Raises:
        DataError: one is of no modality, or two have one name.
    """
    named: dict[str, Any] = {}
    where = f"{row.where}: " if row.where else ""
    for segment in row.segments:
        if segment.role == "absent":
            continue
        if segment.name not in modalities:
            raise DataError(
                f"{where}segment {segment.name!r} is of no [[modalities]]; expected one of "
                f"{', '.join(modalities)}"
            )
        if segment.name in named:
            raise DataError(f"{where}two segments {segment.name!r}; expected at most one")
        named[segment.name] = segment
    return named


def _encoded(
    rows: Iterable[Row], split: str, codecs: Mapping[str, Codec], modalities: Mapping[str, Modality]
) -> Columns:
    """All rows of a split; what a row lacks is absent, and counted."""
    states: dict[str, list[Any]] = {name: [] for name in codecs}
    present: dict[str, list[bool]] = {name: [] for name in codecs}
    given: dict[str, list[bool]] = {name: [] for name in codecs}
    lacking = Counter[str]()
    for row in rows:
        named = _segments(row, modalities)
        for name, codec in codecs.items():
            segment = named.get(name)
            present[name].append(segment is not None)
            given[name].append(segment is not None and segment.role == "given")
            if segment is None:
                lacking[name] += 1
                continue
            try:
                states[name].append(_checked(codec.encode(segment.content), codec))
            except DataError as error:
                where = f"{row.where}: " if row.where else ""
                raise DataError(f"{where}segment {name!r}: {error}") from error
    count = len(next(iter(present.values())))
    if not count:
        raise DataError(f"the {split} split has no row; expected at least one")
    for name, number in lacking.items():
        log.info("%s split: %d of %d rows have no %s", split, number, count, name)
    filled = {}
    for name, codec in codecs.items():
        shape = (codec.length, *_channels(codec))
        whole = np.zeros((count, *shape), np.float32 if len(shape) > 1 else np.int32)
        if states[name]:
            whole[np.array(present[name])] = np.stack(states[name])
        filled[name] = whole
    there = {name: np.array(each) for name, each in present.items()}
    return Columns(filled, there, {name: np.array(each) for name, each in given.items()})


def _channels(codec: Codec) -> tuple[int, ...]:
    space = codec.space
    return (space.channels,) if isinstance(space, Continuous) else ()


def _checked(state: NDArray[Any], codec: Codec) -> NDArray[Any]:
    """What a codec encoded, held against its grid; no number may be NaN."""
    expected = (codec.length, *_channels(codec))
    if state.shape != expected:
        raise DataError(f"encodes to shape {state.shape}; expected {expected}")
    if state.dtype.kind == "f" and not np.isfinite(state).all():
        raise DataError("holds what is no finite number")
    return state
