"""The texts of a data set: read at most once, and not at all while its files are as they were."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from attrs import frozen

from aios_core.config.keys import canonical, code
from aios_core.contracts.dataset import Split, border, cut
from aios_core.errors import DataError
from aios_core.files import cache_folder, replace_text

if TYPE_CHECKING:
    from aios_core.config import Resolved

SPLITS: Final[tuple[Split, ...]] = ("train", "validation")

Part = Literal[Split, "whole"]
PARTS: Final[tuple[Part, ...]] = (*SPLITS, "whole")

_IN_MEMORY: Final = 1 << 26
"""Bytes of text that are kept in memory; what is more goes to a temporary file."""

_COARSE, _FINE = 2_000_000_000, 100_000_000
"""Nanoseconds within which a file may change twice and keep its time: where times are whole
seconds, and elsewhere."""


@frozen
class Content:
    """What a split holds."""

    sha256: str
    """Hex digest of the texts and of where each of them ends."""
    num_bytes: int
    """Of the texts in UTF-8."""


Contents = Mapping[str, Content]
"""By part, what it holds."""


class Corpus:
    """The texts of a data set, in two splits.

    Args:
        resolved: its section ``[dataset]`` counts.
        contents: what its parts hold, where the same command has read them already.
    """

    def __init__(self, resolved: Resolved, contents: Contents | None = None) -> None:
        values = resolved.values["dataset"]
        own = resolved.registry.get("dataset", values["type"])
        self._dataset, self._name = resolved.config.dataset, f"dataset {values['type']!r}"
        self._facts = {"values": values, "by": [own.distribution, own.version, code(own)]}
        self._given = contents

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
    def contents(self) -> dict[Split, Content]:
        """What each split holds, without reading where that is known.

        Raises:
            DataError: the texts cannot be read, or a split is empty.
        """
        contents = {split: self._contents[split] for split in SPLITS}
        for split, content in contents.items():
            if not content.num_bytes:
                raise DataError(
                    f"{self}: the {split} split of the data set is empty; expected a text of at "
                    "least two tokens in both its first nine tenths and its last tenth"
                )
        return contents

    @property
    def whole(self) -> Content:
        """What both splits hold together, without reading where that is known.

        Raises:
            DataError: the texts cannot be read, or there is none.
        """
        if not self._contents["whole"].num_bytes:
            raise DataError(f"{self}: holds no text")
        return self._contents["whole"]

    def texts(self, split: Split) -> Iterator[str]:
        """Documents of one split, as `Dataset.texts` gives them.

        Raises:
            DataError: they cannot be read, or are no longer what `contents` says.
        """
        return self._checked().texts(split)

    def documents(self) -> Iterator[str]:
        """Every document that is not empty.

        Raises:
            DataError: as for `texts`.
        """
        return self._checked().texts("whole")

    @cached_property
    def _contents(self) -> Contents:
        if self._given is not None:
            return self._given
        before, began = self._stamp(), time.time_ns()
        known = None if before is None else _known(before)
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
        return Spool(self._dataset.documents(), self._name)

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
            "facts": self._facts,
            "files": [[path, *(getattr(stat, key) for key in keys)] for path, stat in stats],
        }


class Spool:
    """Documents as they were read, so that nothing reads them again; memory or a nameless file.

    Args:
        documents: each of them once.
        name: of the data set in messages.

    Raises:
        DataError: a document is no text.
    """

    def __init__(self, documents: Iterable[str], name: str) -> None:
        self._file: Any = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        characters = 0
        for number, document in enumerate(documents, 1):
            if not isinstance(document, str):
                raise DataError(
                    f"{name}: document {number}: expected str, got {type(document).__name__}"
                )
            try:
                data = document.encode()
            except UnicodeEncodeError as error:
                raise DataError(f"{name}: document {number}: cannot be UTF-8: {error}") from error
            self._file.write(len(data).to_bytes(8, "little") + data)
            characters += len(document)
        self._end, self._border = self._file.tell(), border(characters)
        self._contents: dict[str, Content] | None = None

    @property
    def contents(self) -> dict[str, Content]:
        """What each split holds, and the ``"whole"``."""
        if self._contents is None:
            self._contents = _contents(self._documents(), self._border)
        return self._contents

    def texts(self, part: Part) -> Iterator[str]:
        """Documents of a split, or all of them; none is empty."""
        if part == "whole":
            return filter(None, self._documents())
        return cut(self._documents(), self._border, part)

    def _documents(self) -> Iterator[str]:
        place = 0
        while place < self._end:
            self._file.seek(place)  # another reader may have moved on
            size = int.from_bytes(self._file.read(8), "little")
            yield self._file.read(size).decode()
            place += 8 + size


class _Counter:
    """Digest and size of texts, one after the other."""

    def __init__(self) -> None:
        self._digest, self._num_bytes = hashlib.sha256(), 0

    def add(self, data: bytes) -> None:
        if data:
            # With its length, so that it counts where a text ends.
            self._digest.update(len(data).to_bytes(8, "little"))
            self._digest.update(data)
            self._num_bytes += len(data)

    @property
    def content(self) -> Content:
        return Content(self._digest.hexdigest(), self._num_bytes)


def _contents(documents: Iterable[str], at: int) -> dict[str, Content]:
    """What each split and the whole hold, in one pass."""
    counters, start = {part: _Counter() for part in PARTS}, 0
    for document in documents:
        place, data = min(max(at - start, 0), len(document)), document.encode()
        counters["whole"].add(data)
        counters["train"].add(document[:place].encode() if place < len(document) else data)
        counters["validation"].add(document[place:].encode() if place else data)
        start += len(document)
    return {part: counter.content for part, counter in counters.items()}


def _settled(stamp: dict[str, Any], began: int) -> bool:
    """Whether a later change of any file is sure to give it another time."""
    times = [changed for _, _, changed, *_ in stamp["files"]]
    return all(
        changed < began - (_FINE if changed % 1_000_000_000 else _COARSE) for changed in times
    )


def _known(stamp: dict[str, Any]) -> dict[str, Content] | None:
    """What was kept; None where there is nothing, or nothing sound."""
    try:
        kept = json.loads(_place(stamp).read_text(encoding="utf-8"))
        contents: dict[str, Content] = {part: Content(*kept["contents"][part]) for part in PARTS}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return contents if kept.get("sha256") == _seal(contents) else None


def _keep(stamp: dict[str, Any], contents: dict[str, Content]) -> None:
    plain = {part: [content.sha256, content.num_bytes] for part, content in contents.items()}
    place = _place(stamp)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        replace_text(place, json.dumps({"contents": plain, "sha256": _seal(contents)}))
    except OSError:  # a cache is no condition: the texts are read again next time
        return


def _seal(contents: dict[str, Content]) -> str:
    return _digest(
        [[part, content.sha256, content.num_bytes] for part, content in contents.items()]
    )


def _place(stamp: dict[str, Any]) -> Path:
    return cache_folder() / "corpora" / f"{_digest(stamp)}.json"


def _digest(values: Any) -> str:
    return hashlib.sha256(canonical(values)).hexdigest()
