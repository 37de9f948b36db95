"""Pictures and sounds with texts, from the user's own files."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from attrs import Attribute, field, frozen, validators

from aios_core.contracts import Dataset, Row, Segment, Split, TextSettings
from aios_core.contracts.dataset import HELD_OUT
from aios_core.contracts.reader import writable
from aios_core.errors import DataError
from aios_core.formats import has_reader, hidden, kinds_of, reader_of
from aios_core.registry import Registry
from aios_plugins.datasets._media import Mode, content, picture, sound
from aios_plugins.datasets._splits import divided

log = logging.getLogger(__name__)

_SUFFIXES: Final = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"), "image"),
    **dict.fromkeys((".tif", ".tiff", ".pgm", ".ppm"), "image"),
    **dict.fromkeys((".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff"), "audio"),
}
"""Of files in folders whose names are the texts."""

_name: Any = validators.optional(validators.min_len(1))
_rate: Any = validators.optional([validators.ge(100), validators.le(10**6)])
_size: Any = validators.optional(validators.deep_iterable([validators.ge(1), validators.le(8192)]))


@frozen
class _File:
    """A picture or a sound that was not decoded."""

    source: Path | bytes
    where: str
    digest: str
    """Of its bytes."""

    @classmethod
    def of(cls, source: Path | bytes, where: str) -> _File:
        data = content(source, where) if isinstance(source, Path) else source
        return cls(source, where, hashlib.blake2b(data, digest_size=16).hexdigest())

    @property
    def data(self) -> bytes:
        if isinstance(self.source, bytes):
            return self.source
        data = content(self.source, self.where)
        if hashlib.blake2b(data, digest_size=16).hexdigest() != self.digest:
            raise DataError(
                f"{self.where}: was changed while it was being read; run the command again"
            )
        return data


@frozen
class _Item:
    """A row that was not decoded."""

    where: str
    text: str | None = None
    image: _File | None = None
    audio: _File | None = None

    @property
    def key(self) -> tuple[str | None, ...]:
        """What equal rows have in common."""
        files = (self.image, self.audio)
        return (self.text, *(None if file is None else file.digest for file in files))

    @property
    def group(self) -> str:
        """What rows that are held out together have in common."""
        file = self.image or self.audio
        return file.digest if file else f"text {self.text}"


@frozen
class Media(Dataset):
    """Pictures and sounds with texts: a table of them, or folders whose names are the texts.

    A table is a file of any kind that has columns (``.csv``, ``.jsonl``, ``.parquet``, ...); its
    columns hold texts, and paths of pictures and sounds relative to its folder, which they may not
    leave, or their bytes. Without a table a row is a file in a sub-folder, whose name is the text;
    a picture and a sound there of one name but for the suffix are one row. Segments are named
    ``text``, ``image`` and ``audio``; what a row has not, or whose file is not there, is absent,
    and counted. Pictures need the extra ``image``, sounds the extra ``sound``.
    """

    path: Path = field(validator=validators.instance_of(Path))
    """The table, or a folder with a table or with sub-folders in it, relative to the folder of the
    configuration."""
    validation: Path | None = field(default=None)
    """Likewise, of the validation split; unset: rows of ``path`` are held out, those of one
    picture together, or of one sound where they have no picture."""
    text: str | None = field(default=None, validator=_name)
    """Column of texts; unset: ``text``, if there is one."""
    image: str | None = field(default=None, validator=_name)
    """Column of pictures; unset: ``image``, if there is one."""
    audio: str | None = field(default=None, validator=_name)
    """Column of sounds; unset: ``audio``, if there is one."""
    mode: Mode | None = field(default=None)
    """Convert pictures to grey (``"L"``) or colour (``"RGB"``), over white where they are
    transparent; unset: both stay as they are, and others are refused."""
    size: tuple[int, int] | None = field(default=None, validator=_size)
    """Bring pictures to this height and width (bicubic; of another shape the middle is kept);
    unset: they stay as they are."""
    rate: int | None = field(default=None, validator=_rate)
    """Convert sounds to so many samples a second; unset: they stay as they are."""
    mono: bool = field(default=False)
    """Average the channels of sounds that have several; unset: these are refused."""
    share: float = field(default=HELD_OUT, validator=[validators.gt(0), validators.lt(1)])
    """Of the rows that is held out, without ``validation``."""
    split_seed: int = field(default=0, validator=[validators.ge(0), validators.le(2**32 - 1)])
    """Another one holds out other rows."""

    @validation.validator
    def _another(self, attribute: Attribute[Any], value: Path | None) -> None:
        if value == self.path:
            raise ValueError("is what path is; expected rows of its own")

    def rows(self, split: Split) -> Iterator[Row]:
        """Rows of one split.

        Raises:
            DataError: a table or a file of it cannot be read, is damaged, too large, of another
                kind or outside of its folder, or a row has nothing.
            MissingExtraError: an extra is not installed.
        """
        return (self._row(item) for of, item in self._divided() if of == split)

    def parted(self) -> Iterator[tuple[Split, Row]]:
        """Every row with its split.

        Raises:
            DataError: as for `rows`.
            MissingExtraError: likewise.
        """
        return ((of, self._row(item)) for of, item in self._divided())

    def _row(self, item: _Item) -> Row:
        segments = []
        if item.text is not None:
            segments.append(Segment("text", item.text, modality="text"))
        if item.image is not None:
            pixels = picture(item.image.data, item.image.where, self.mode, self.size)
            segments.append(Segment("image", pixels, modality="image"))
        if item.audio is not None:
            heard = sound(item.audio.data, item.audio.where, self.rate, mono=self.mono)
            segments.append(Segment("audio", heard, modality="audio"))
        return Row(tuple(segments), where=item.where)

    def _divided(self) -> list[tuple[Split, _Item]]:
        """Every row, not decoded, with its split."""
        items = self._items(self.path)
        made: list[tuple[Split, _Item]]
        if self.validation is None:
            groups = (Row((Segment("group", item.group),)) for item in items)
            split = divided(groups, "documents", self.share, self.split_seed, str(self.path))
            made = [(of, item) for (of, _), item in zip(split, items, strict=True)]
        else:
            made = [("train", item) for item in items]
            made += [("validation", item) for item in self._items(self.validation)]
        _tell_apart(made)
        return made

    def _items(self, path: Path) -> list[_Item]:
        try:
            table = _table(path)
            return _of_folders(path) if table is None else self._of_table(table)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error

    def _of_table(self, path: Path) -> list[_Item]:
        reader, folder = reader_of(path, Registry.discover(insist=False)), path.parent.resolve()
        columns = {kind: getattr(self, kind) or kind for kind in ("text", "image", "audio")}
        items, lacking, seen = [], dict[str, list[str]](), dict[str, None]()
        files = dict.fromkeys(("image", "audio"), 0)
        for read in reader.records(path, TextSettings(section="dataset")):
            where, values = reader.place(path, read), read.values
            seen |= dict.fromkeys(values)
            own: dict[str, Any] = {}
            if (text := values.get(columns["text"])) is not None:
                if not isinstance(text, str) or not writable(text):
                    got = "half of a surrogate pair" if isinstance(text, str) else _kind(text)
                    raise DataError(f"{where}: expected a text in {columns['text']!r}, got {got}")
                own["text"] = text or None
            for kind in files:
                named = _source(values.get(columns[kind]), where, columns[kind], folder)
                if isinstance(named, Path) and not named.exists():
                    lacking.setdefault(kind, []).append(f"{where}: {named.relative_to(folder)}")
                elif named is not None:
                    more = named.relative_to(folder) if isinstance(named, Path) else columns[kind]
                    own[kind] = _File.of(named, f"{where}: {more}")
                    files[kind] += 1
            items.append(_Item(where, **own))
        self._look_at_columns(path, columns, seen)
        for kind, places in lacking.items():
            if not files[kind]:
                raise DataError(
                    f"{places[0]}: no such file, as of all {len(places)} in {columns[kind]!r}; "
                    f"expected paths relative to {folder}"
                )
            log.warning(
                "%s: %d of %d rows have no %s, for its file is not there, as %s",
                *(path, len(places), len(items), kind, places[0]),
            )
        return _filled(items, path)

    def _look_at_columns(self, path: Path, columns: dict[str, str], seen: dict[str, None]) -> None:
        named = [name for kind, name in columns.items() if getattr(self, kind) is not None]
        there = f"expected one of {', '.join(seen)}"
        for name in named:
            if name not in seen:
                raise DataError(f"{path}: no column {name!r}; {there}")
        if not seen.keys() & set(columns.values()):
            raise DataError(
                f"{path}: no column text, image or audio; {there}, as dataset.text, dataset.image "
                "and dataset.audio name them"
            )


def _table(path: Path) -> Path | None:
    """The table that a path is or that a folder has; None of a folder of sub-folders."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder; expected a table, or a folder")
    registry = Registry.discover(insist=False)
    shown = (file for file in sorted(path.iterdir()) if not hidden(file.relative_to(path)))
    tables = [
        file
        for file in shown
        if file.is_file() and has_reader(file, registry) and not reader_of(file, registry).plain
    ]
    if len(tables) > 1:
        raise DataError(
            f"{path}: has {len(tables)} tables; expected the path of one, as {tables[0].name}"
        )
    return tables[0] if tables else None


def _of_folders(path: Path) -> list[_Item]:
    """A row for each name of files in a sub-folder."""
    root, items, left = path.resolve(), [], list[Path]()
    for entry in sorted(path.iterdir()):
        if hidden(entry.relative_to(path)):
            continue
        if not entry.is_dir():
            left.append(entry)
            continue
        rows: dict[str, dict[str, Any]] = {}
        for file in sorted(entry.iterdir()):
            kind = _SUFFIXES.get(file.suffix.lower())
            if hidden(file.relative_to(path)):
                continue
            if kind is None or file.is_dir():
                left.append(file)
                continue
            own = rows.setdefault(file.stem, {"where": str(file), "text": entry.name})
            if kind in own:
                raise DataError(f"{file}: is a second {kind} of its name; expected one")
            own[kind] = _File.of(_inside(root, file, str(file)), str(file))
        items += [_Item(**own) for own in rows.values()]
    if left:
        log.warning("%s: left out, for they are no rows: %s", path, kinds_of(left))
    return _filled(items, path)


def _filled(items: list[_Item], path: Path) -> list[_Item]:
    if not items:
        raise DataError(f"{path}: has no row; expected a table, or sub-folders of pictures, sounds")
    for item in items:
        if not any(item.key):
            raise DataError(f"{item.where}: has no text, image or audio; expected one at least")
    return items


def _source(value: Any, where: str, column: str, folder: Path) -> Path | bytes | None:
    """Where a cell says that a file is, or its bytes; also of the pairs of Hugging Face."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if value is None:
        return None
    if not isinstance(value, str | bytes):
        raise DataError(f"{where}: expected a path or bytes in {column!r}, got {_kind(value)}")
    if isinstance(value, bytes) or not value:
        return value or None
    return _inside(folder, folder / value, f"{where}: {value}")


def _inside(folder: Path, path: Path, where: str) -> Path:
    """A path without links, which is in a folder.

    Raises:
        DataError: it is not, or is no path of a file.
    """
    try:
        real = path.resolve()
        usable = not real.exists() or real.is_file()
    except (ValueError, OSError, RuntimeError) as error:  # NUL, too long, a circle of links
        raise DataError(f"{where!r:.200}: is no path: {error!s:.100}") from error
    if not real.is_relative_to(folder):
        raise DataError(f"{where}: leads out of {folder}; expected a path in it")
    if not usable:
        raise DataError(f"{where}: is no file")
    return real


def _kind(value: Any) -> str:
    return type(value).__name__


def _tell_apart(items: list[tuple[Split, _Item]]) -> None:
    """Refuse a row that is in both splits, and say how many pictures and sounds are.

    Raises:
        DataError: there is one.
    """
    trained = {item.key: item.where for of, item in items if of == "train"}
    held_out = [item for of, item in items if of != "train"]
    for item in held_out:
        if item.key in trained:
            raise DataError(
                f"{item.where}: is held out, and equal to {trained[item.key]}, which is trained "
                "on; expected rows of its own"
            )
    for place, kind in ((1, "images"), (2, "sounds")):
        known = {key[place] for key in trained}
        own = {item.key[place] for item in held_out} - {None}
        if both := own & known:
            log.warning(
                "%d of %d %s of the validation split are those of rows to train on, too",
                *(len(both), len(own), kind),
            )
