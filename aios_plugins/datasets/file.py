"""Texts from the user's own files."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen, validators

from aios_core.contracts import Dataset, TextSettings
from aios_core.errors import DataError
from aios_core.formats import reader_of
from aios_core.registry import Registry


@frozen
class File(Dataset):
    """Files of any kind that has a reader, which their suffix chooses (``aios plugins list``).

    ``.jsonl``: every line is an object, one document a line. ``.parquet`` and ``.arrow``: every row
    is a document. ``.zip``: every ``.txt`` inside is a document, sorted by name. What has no reader
    is text, and one document.
    """

    path: Path | tuple[Path, ...] = field(
        validator=validators.or_(validators.instance_of(Path), validators.min_len(1))
    )
    """One or more files or glob patterns (``texts/**/*.txt``), relative to the folder of
    the configuration; files keep this order, those of one pattern are sorted."""
    key: str = field(default="text", validator=validators.min_len(1))
    """Where the text is in a line of ``.jsonl``, or the column of a table."""
    encoding: str | tuple[str, ...] = field(default="utf-8")
    """Of the text; of several, each file has the first one that reads all of it. A byte order mark
    goes before any; a byte that no encoding allows is an error and never replaced."""
    max_bytes: int = field(default=1 << 32, validator=[validators.gt(0), validators.le(1 << 50)])
    """Most bytes that one archive may unpack to; checked before anything is unpacked."""

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

    def documents(self) -> Iterator[str]:
        """Every document, file by file.

        Raises:
            DataError: a file is missing, is not text, or is not what its suffix says.
        """
        settings = TextSettings(self.key, self._encodings, self.max_bytes, "dataset")
        registry = Registry.discover(insist=False)
        for path in self._files():
            try:
                for _, text in reader_of(path, registry).texts(path, settings):
                    yield text
            except OSError as error:
                raise DataError(f"{path}: cannot be read: {error.strerror}") from error

    def files(self) -> tuple[Path, ...]:
        """Every file, in the order of its documents.

        Raises:
            DataError: one is missing.
        """
        return tuple(self._files())

    def _files(self) -> Iterator[Path]:
        for path in (self.path,) if isinstance(self.path, Path) else self.path:
            pattern = str(path)
            if path.is_file():  # also where its name looks like a pattern
                yield path
            elif path.is_dir():
                raise DataError(f"{path}: is a folder; expected files, as in '{path}/**/*.txt'")
            elif not glob.has_magic(pattern):
                parts = [part for part in path.parts if part.startswith(("~", "$"))]
                hint = f"; {parts[0]!r} in it is not replaced" if parts else ""
                raise DataError(
                    f"{path}: no such file; expected a file or a pattern of files{hint}"
                )
            else:
                # Path.glob refuses absolute patterns.
                matches = map(Path, sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207
                files = [match for match in matches if match.is_file()]
                if not files:
                    raise DataError(f"{path}: no file matches this pattern")
                yield from files
