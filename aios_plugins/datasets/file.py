"""Rows from the user's own files."""

from __future__ import annotations

from collections.abc import Iterator
from filecmp import cmp
from itertools import chain
from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen, validators

from aios_core.contracts import Row, Split, TextSettings
from aios_core.contracts.dataset import HELD_OUT, SPLITS
from aios_core.errors import DataError
from aios_core.formats import reader_of
from aios_core.registry import Registry
from aios_plugins.datasets._paths import Paths, all_files, each, stamp, tell_unread
from aios_plugins.datasets._shape import Shaped
from aios_plugins.datasets._splits import How, divided

_paths: Any = validators.or_(validators.instance_of(Path), validators.min_len(1))


@frozen(slots=False)
class File(Shaped):
    """Files of any kind that has a reader, which their suffix chooses (``aios plugins list``).

    ``.jsonl``, ``.json``, ``.csv``, ``.tsv``, ``.parquet`` and ``.arrow`` have rows, whose texts
    are under ``key``, unless ``prompt`` and ``answer``, or ``messages``, say what a row is. A text
    is one document. ``.gz``, ``.bz2``, ``.xz`` and ``.zst`` are unpacked; of a ``.zip`` or a folder
    all files that have a reader are read, sorted by name. What has no reader is text, if it is
    named.
    """

    path: Path | tuple[Path, ...] = field(validator=_paths)
    """One or more files, folders or glob patterns (``texts/**/*.txt``), relative to the folder of
    the configuration; they keep this order, those of a folder or a pattern are sorted."""
    validation: Path | tuple[Path, ...] | None = field(
        default=None, validator=validators.optional(_paths)
    )
    """Files whose rows are the validation split; unset: rows of ``path`` are held out."""
    test: Path | tuple[Path, ...] | None = field(
        default=None, validator=validators.optional(_paths), metadata={"affects": "nothing"}
    )
    """Files whose rows are the test split, on which ``aios evaluate --split test`` measures and
    nothing else; unset: there is none."""
    split: How = "documents"
    """Without ``validation``, what is held out: ``documents``, whole ones chosen by ``split_seed``,
    equal ones together; or ``end``, the last characters of texts, or the last of other rows, as is
    done with fewer than ten of them."""
    share: float = field(default=HELD_OUT, validator=[validators.gt(0), validators.lt(1)])
    """Of the documents, or of the characters, that is held out."""
    split_seed: int = field(default=0, validator=[validators.ge(0), validators.le(2**32 - 1)])
    """Another one holds out other documents."""
    encoding: str | tuple[str, ...] = field(default="utf-8")
    """Of the text; of several, each file has the first one that reads all of it. A byte order mark
    goes before any; a byte that no encoding allows is an error and never replaced."""
    max_bytes: int = field(default=1 << 32, validator=[validators.gt(0), validators.le(1 << 50)])
    """Most bytes that one archive or compressed file may unpack to."""

    @encoding.validator
    def _known(self, attribute: Attribute[Any], value: str | tuple[str, ...]) -> None:
        if not value:
            raise ValueError("expected a text encoding such as 'utf-8', got none")
        for name in self._encodings:
            try:
                " ".encode(name)
            except LookupError:
                raise ValueError(
                    f"expected a text encoding such as 'utf-8', got {name!r}"
                ) from None

    @property
    def _encodings(self) -> tuple[str, ...]:
        return (self.encoding,) if isinstance(self.encoding, str) else self.encoding

    def splits(self) -> tuple[Split, ...]:
        """The test split among them, where files are named for it."""
        return SPLITS if self.test is None else (*SPLITS, "test")

    def shape(self) -> tuple[str, ...]:
        """Which columns, and how bytes are read."""
        return (*super().shape(), "encoding", "max_bytes")

    def rows(self, split: Split) -> Iterator[Row]:
        """Rows of one split, file by file.

        Raises:
            DataError: a file is missing, is not what its suffix says, or has a row without what
                it should have.
        """
        self._tell_apart()
        if (paths := self._own.get(split)) is not None:
            return self._read(paths)
        return (row for of, row in self._divided() if of == split)

    def parted(self) -> Iterator[tuple[Split, Row]]:
        """Every row with its split; no file is read twice.

        Raises:
            DataError: as for `rows`.
        """
        self._tell_apart()
        if self.validation is None:
            yield from self._divided()
        for split, paths in self._own.items():
            for row in self._read(paths):
                yield split, row

    def all_rows(self) -> Iterator[Row]:
        """Every row, file by file; no text is cut.

        Raises:
            DataError: as for `rows`.
        """
        return chain.from_iterable(map(self._read, self._paths))

    def documents(self) -> Iterator[str]:
        """The texts of all rows.

        Raises:
            DataError: as for `rows`.
        """
        return (row.joined("given", "target") for row in self.all_rows())

    def files(self) -> tuple[Path, ...]:
        """Every file, in the order of its rows.

        Raises:
            DataError: one is missing.
        """
        registry = Registry.discover(insist=False)
        return tuple(file for paths in self._paths for file in all_files(paths, registry))

    @property
    def _paths(self) -> tuple[Paths, ...]:
        named = (self.path, self.validation, self.test)
        return tuple(paths for paths in named if paths is not None)

    @property
    def _own(self) -> dict[Split, Paths]:
        """Files that hold a split and nothing else."""
        own: dict[Split, Paths] = {}
        if self.validation is not None:
            own = {"train": self.path, "validation": self.validation}
        return own if self.test is None else own | {"test": self.test}

    def _divided(self) -> Iterator[tuple[Split, Row]]:
        """Rows of the path, some of them held out."""
        where = ", ".join(map(str, each(self.path)))
        return divided(self._read(self.path), self.split, self.share, self.split_seed, where)

    def _tell_apart(self) -> None:
        """Refuse a file of two splits, also as a copy or under another name.

        Raises:
            DataError: there is one.
        """
        registry, seen = Registry.discover(insist=False), dict[int, list[tuple[str, Path]]]()
        named = {"training": self.path, "validation": self.validation, "test": self.test}
        try:
            for split, paths in named.items():
                files = () if paths is None else all_files(paths, registry)
                sized = [(path.stat().st_size, path) for path in files]
                for size, path in sized:
                    for other, known in seen.get(size, ()):
                        if path.samefile(known) or cmp(path, known, shallow=False):
                            raise DataError(
                                f"{path}: the {split} file holds what the {other} file {known} "
                                f"does; expected rows of its own, or no `dataset.{split}`"
                            )
                for size, path in sized:
                    seen.setdefault(size, []).append((split, path))
        except OSError as error:
            raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error

    def _read(self, paths: Paths) -> Iterator[Row]:
        settings = TextSettings(self.key, self._encodings, self.max_bytes, "dataset")
        registry = Registry.discover(insist=False)
        files = all_files(paths, registry)
        tell_unread(paths, files, registry)
        for path in files:
            reader = reader_of(path, registry)
            try:
                before = stamp(path)
                if self.in_columns:
                    for read in reader.records(path, settings):
                        yield self.row(read.values, reader.place(path, read))
                else:
                    for where, text in reader.texts(path, settings):
                        yield Row.of(text, where=where)
                if stamp(path) != before:
                    raise DataError(
                        f"{path}: was changed while it was being read; run the command again"
                    )
            except OSError as error:
                raise DataError(f"{path}: cannot be read: {error.strerror}") from error
