"""Data sets of Hugging Face: folders that `datasets` wrote, or names at the hub."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import Attribute, field, frozen, validators

from aios_core.contracts import Row, Split
from aios_core.contracts.dataset import HELD_OUT, SPLITS
from aios_core.errors import DataError, require_extra
from aios_plugins.datasets._paths import stamp
from aios_plugins.datasets._shape import Shaped
from aios_plugins.datasets._splits import divided

if TYPE_CHECKING:
    import datasets

_NAME: Final = r"[\w.-]+(/[\w.-]+)?"
_some: Any = validators.optional(validators.min_len(1))


@frozen(slots=False)
class HuggingFace(Shaped):
    """A folder that ``save_to_disk`` of the library `datasets` wrote, or a name at the hub.

    Needs the extra ``hf``. No code of a data set is run. What is at the hub may change: a run knows
    its rows by their digest, whatever ``revision`` says, and refuses others. Columns that no key
    names are not read.
    """

    path: Path | None = field(default=None, metadata={"needs": "path or name"})
    """The folder, relative to that of the configuration; this or ``name``."""
    name: str | None = field(
        default=None, validator=validators.optional(validators.matches_re(_NAME))
    )
    """At the hub, as in ``"roneneldan/TinyStories"``."""
    config: str | None = field(default=None, validator=_some)
    """Which of several configurations of a name, as in ``"wikitext-2-raw-v1"``."""
    revision: str | None = field(default=None, validator=_some)
    """Branch, tag or commit of a name; unset: the newest."""
    split: str = field(default="train", validator=validators.min_len(1))
    """The split that is trained on; a folder without splits is one, ``train``."""
    validation: str | None = field(default=None, validator=_some)
    """The validation split; unset: rows of ``split`` are held out, chosen by ``split_seed``, equal
    ones together."""
    test: str | None = field(default=None, validator=_some, metadata={"affects": "nothing"})
    """The test split, on which ``aios evaluate --split test`` measures; unset: there is none."""
    share: float = field(default=HELD_OUT, validator=[validators.gt(0), validators.lt(1)])
    """Of the rows that is held out, without ``validation``."""
    split_seed: int = field(default=0, validator=[validators.ge(0), validators.le(2**32 - 1)])
    """Another one holds out other rows."""

    @name.validator
    def _either(self, attribute: Attribute[Any], value: str | None) -> None:
        if (value is None) == (self.path is None):
            raise ValueError("expected a name at the hub or the path of a folder, one of the two")

    @config.validator
    @revision.validator
    def _of_hub(self, attribute: Attribute[Any], value: str | None) -> None:
        if value is not None and self.name is None:
            raise ValueError("is for names at the hub; expected name, or leave it out")

    @validation.validator
    @test.validator
    def _another(self, attribute: Attribute[Any], value: str | None) -> None:
        others = {"split": self.split}
        if attribute.name == "test":
            others["validation"] = self.validation or ""
        for other, known in others.items():
            if value == known:
                raise ValueError(f"is {value!r}, and so is {other}; expected rows of its own")

    def splits(self) -> tuple[Split, ...]:
        """The test split among them, where it is named."""
        return SPLITS if self.test is None else (*SPLITS, "test")

    def rows(self, split: Split) -> Iterator[Row]:
        """Rows of one split.

        Raises:
            DataError: it cannot be read, or has a row without what it should have.
            MissingExtraError: the extra is not installed.
        """
        if split == "test" or self.validation is not None:
            return self._read(self._named[split])
        return (row for of, row in self._divided() if of == split)

    def parted(self) -> Iterator[tuple[Split, Row]]:
        """Every row with its split; none is read twice.

        Raises:
            DataError: as for `rows`.
            MissingExtraError: likewise.
        """
        if self.validation is None:
            yield from self._divided()
        for split, name in self._named.items():
            if split == "test" or self.validation is not None:
                for row in self._read(name):
                    yield split, row

    def files(self) -> tuple[Path, ...] | None:
        """Those of a folder; None of a name at the hub.

        Raises:
            DataError: it is not there.
        """
        if self.path is None:
            return None
        if not self.path.is_dir():
            raise DataError(f"{self.path}: no such folder; expected one that save_to_disk wrote")
        every = (Path(top) / name for top, _, names in os.walk(self.path) for name in names)
        return tuple(sorted(path for path in every if path.suffix in (".arrow", ".json")))

    @property
    def _named(self) -> dict[Split, str]:
        own: dict[Split, str | None] = {
            "train": self.split,
            "validation": self.validation,
            "test": self.test,
        }
        return {split: name for split, name in own.items() if name is not None}

    def _divided(self) -> Iterator[tuple[Split, Row]]:
        rows = self._read(self.split)
        return divided(rows, "documents", self.share, self.split_seed, self._where(self.split))

    def _where(self, split: str) -> str:
        return f"{self.path or self.name}[{split}]"

    def _read(self, split: str) -> Iterator[Row]:
        where = self._where(split)
        before, table = self._stamps(), self._loaded(split)
        if absent := [name for name in self.needed if name not in table.column_names]:
            known = ", ".join(table.column_names)
            raise DataError(f"{where}: no column {absent[0]!r}; expected one of {known}")
        try:
            for number, values in enumerate(table.select_columns(list(self.needed)), 1):
                yield self.row(values, f"{where}: row {number}")
        except (OSError, ValueError) as error:  # of Arrow
            raise DataError(f"{where}: cannot be read: {error}") from error
        if before != self._stamps():
            raise DataError(f"{where}: was changed while it was being read; run the command again")

    def _stamps(self) -> list[tuple[int, ...]]:
        """What changes with the files of a folder."""
        return [stamp(path) for path in self.files() or ()]

    def _loaded(self, split: str) -> datasets.Dataset:
        """A split as a table, mapped from its files."""
        require_extra("the data set 'hf'", "hf", "datasets")
        from datasets import DatasetDict, load_dataset, load_from_disk

        where, path = self._where(split), self.path
        if path is not None:
            _check_folder(path)
        elif Path(str(self.name)).exists():  # which would be read in the place of the hub's
            raise DataError(f"{self.name}: is a file or folder here; dataset.path names a folder")
        try:
            if path is None:
                return load_dataset(self.name, self.config, split=split, revision=self.revision)
            kept = load_from_disk(str(path))
        except Exception as error:  # of the library, and of whatever it reaches the hub by
            raise DataError(f"{where}: cannot be loaded: {error}") from error
        splits = kept if isinstance(kept, DatasetDict) else {"train": kept}
        if split not in splits:
            raise DataError(f"{where}: no such split; expected one of {', '.join(splits)}")
        return splits[split].with_format(None)  # not as arrays of whatever library


def _check_folder(folder: Path) -> None:
    """Refuse a folder whose files name others that are not in it.

    Raises:
        DataError: it is no such folder, or it names one.
    """
    names = _json(folder, "dataset_dict.json").get("splits")
    if names is not None:
        _within(folder, names)
    for each in [folder] if names is None else [folder / name for name in names]:
        files = _json(each, "state.json").get("_data_files")
        if files is None:
            raise DataError(
                f"{each}: holds no data set; expected a folder that save_to_disk of the package "
                "datasets wrote, with state.json in it"
            )
        _within(each, [file.get("filename") if isinstance(file, dict) else None for file in files])


def _json(folder: Path, name: str) -> dict[str, Any]:
    """What is in a file of a folder; nothing where there is no such file."""
    try:
        values = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{folder / name}: cannot be read: {error}") from error
    return values if isinstance(values, dict) else {}


def _within(folder: Path, names: Any) -> None:
    for name in names if isinstance(names, list) else [names]:
        if not isinstance(name, str) or not re.fullmatch(r"[^/\\]+", name) or name in (".", ".."):
            raise DataError(f"{folder}: names {name!r}, which is no file or folder in it")
