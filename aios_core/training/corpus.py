"""The rows of a data set: read at most once, and not at all while its files are as they were."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aios_core.config.keys import canonical, code, with_parts
from aios_core.errors import DataError
from aios_core.files import cache_folder, replace_text
from aios_core.training.spool import Content, Contents, Part, Spool

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.contracts import Row, Split

_COARSE, _FINE = 2_000_000_000, 100_000_000
"""Nanoseconds within which a file may change twice and keep its time: where times are whole
seconds, and elsewhere."""


class Corpus:
    """The rows of a data set, in its splits.

    Args:
        resolved: its section ``[dataset]`` counts.
        contents: what its parts hold, where the same command has read them already.
        whole: take all rows as one part, ``"whole"``, and nothing of them is held out.
    """

    def __init__(
        self, resolved: Resolved, contents: Contents | None = None, *, whole: bool = False
    ) -> None:
        values = resolved.values["dataset"]
        self._dataset, self._name = resolved.config.dataset, f"dataset {values['type']!r}"
        own = with_parts(resolved.registry, "dataset", values)
        self._facts = {
            "values": values,
            "by": [[each.distribution, each.version, code(each)] for each in own],
        }
        self._given, self._whole = contents, whole
        self.parts: tuple[Part, ...] = ("whole",) if whole else self._dataset.splits()

    def __str__(self) -> str:
        """The files, or the data set by its name."""
        files = self._dataset.files()
        if not files:
            return self._name
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        return ", ".join(map(str, files[:3])) + more

    @property
    def known(self) -> Contents:
        """What to hand to a `Corpus` of the same texts, in whatever process, so that it reads none.

        Raises:
            DataError: the texts cannot be read.
        """
        return self._contents

    def release(self) -> None:
        """Keep what the texts are, and forget the texts; they are read again if they are needed."""
        self.__dict__.pop("_spool", None)

    @property
    def contents(self) -> Contents:
        """What each part holds, without reading where that is known.

        Raises:
            DataError: the texts cannot be read, or a part is empty.
        """
        for part, content in self._contents.items():
            if part == "whole" and not content.num_bytes:
                raise DataError(f"{self}: holds no text")
            if not content.num_bytes:
                raise DataError(
                    f"{self}: the {part} split of the data set is empty; expected a text of at "
                    "least two tokens in each split"
                )
        return self._contents

    def check_has(self, split: Split) -> None:
        """Refuse a split that there is not.

        Raises:
            DataError: the data set has no such one.
        """
        if split not in self.parts:
            raise DataError(
                f"{self}: has no {split} split, but {' and '.join(self.parts)}; dataset.{split} "
                "says what is in it, where a data set has that key"
            )

    def rows(self, part: Part) -> Iterator[Row]:
        """Rows of one part.

        Raises:
            DataError: they cannot be read, or are no longer what `contents` says.
        """
        return self._checked().rows(part)

    def texts(self, part: Part) -> Iterator[str]:
        """Likewise, of each row all that is text in it.

        Raises:
            DataError: as for `rows`.
        """
        return self._checked().texts(part)

    @cached_property
    def _contents(self) -> Contents:
        if self._given is not None:
            return self._given
        before, began = self._stamp(), time.time_ns()
        known = None if before is None else _known(before, self.parts)
        if known is not None:
            return known
        spooled = self._spool.contents
        if before is not None and before == self._stamp() and _settled(before, began):
            _keep(before, spooled)
        return spooled

    def _checked(self) -> Spool:
        if self._contents != self._spool.contents:
            raise DataError(f"{self}: was changed while it was being read; run the command again")
        return self._spool

    @cached_property
    def _spool(self) -> Spool:
        return Spool(self._dataset, self._name, whole=self._whole)

    def _stamp(self) -> dict[str, Any] | None:
        """All that decides the documents, without reading any; None where that is not known."""
        files = self._dataset.files()
        if files is None:
            return None
        try:
            stats = [(str(path.absolute()), path.stat()) for path in files]
        except OSError as error:
            raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error
        keys = ("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino", "st_dev")
        return {
            "facts": {**self._facts, "parts": list(self.parts)},
            "files": [[path, *(getattr(stat, key) for key in keys)] for path, stat in stats],
        }


def _settled(stamp: dict[str, Any], began: int) -> bool:
    """Whether a later change of any file is sure to give it another time."""
    times = [changed for _, _, changed, *_ in stamp["files"]]
    return all(
        changed < began - (_FINE if changed % 1_000_000_000 else _COARSE) for changed in times
    )


def _known(stamp: dict[str, Any], parts: Iterable[Part]) -> Contents | None:
    """What was kept; None where there is nothing, or nothing sound."""
    try:
        kept = json.loads(_place(stamp).read_text(encoding="utf-8"))
        contents = {part: Content(*kept["contents"][part]) for part in parts}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return contents if kept.get("sha256") == _seal(contents) else None


def _keep(stamp: dict[str, Any], contents: Contents) -> None:
    plain = {part: [content.sha256, content.num_bytes] for part, content in contents.items()}
    place = _place(stamp)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        replace_text(place, json.dumps({"contents": plain, "sha256": _seal(contents)}))
    except OSError:  # a cache is no condition: the texts are read again next time
        return


def _seal(contents: Contents) -> str:
    return _digest(
        [[part, content.sha256, content.num_bytes] for part, content in contents.items()]
    )


def _place(stamp: dict[str, Any]) -> Path:
    return cache_folder() / "corpora" / f"{_digest(stamp)}.json"


def _digest(values: Any) -> str:
    return hashlib.sha256(canonical(values)).hexdigest()
