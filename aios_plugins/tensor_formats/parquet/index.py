"""The index in a file's footer: all columns but the bytes, and where the bytes lie.

It is checked as a whole before any of it is believed, column by column, so that a model opens in
less than a millisecond.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count, pairwise
from operator import add, le, mul
from typing import Any, Final

from aios_core import strict_json
from aios_core.errors import ModelLoadError
from aios_plugins.tensor_formats.parquet.layout import (
    DTYPES,
    FORMAT,
    MAX_BITS,
    PACKING,
    PLAIN,
    WEIGHTS,
    Bytes,
    Entry,
    Packing,
)

COLUMNS: Final[Mapping[str, type]] = {
    "name": str,
    "part": str,
    "chunk": int,
    "shape": list,
    "dtype": str,
    "bits": int,
    "group_size": int,
    "scheme": str,
    "method": str,
    "layout": str,
    "param_fmt": str,
    "payload_offset": int,
    "payload_size": int,
    "payload_xxh3": str,
    "params_offset": int,
    "params_size": int,
    "params_xxh3": str,
}
"""The columns of the index and the type of their values, one value a row of the file."""

MAX_DIMENSIONS: Final = 64
"""Of a tensor, as torch has it."""

MAX_ELEMENTS: Final = 1 << 60
"""Of a tensor if those of its sizes that are 0 were 1: torch multiplies them in 63 bits."""


def write(rows: Iterable[Mapping[str, Any]], tied: Mapping[str, str]) -> bytes:
    """The index of a file with these rows; a value that all rows share is written once.

    Args:
        rows: of the file.
        tied: other names of tensors among them, with the names in the rows.
    """
    listed = list(rows)
    columns: dict[str, Any] = {name: [row[name] for row in listed] for name in COLUMNS}
    for name, values in columns.items():
        if listed and values.count(values[0]) == len(values) and name != "name":
            columns[name] = {"all": values[0]}
    head = {"format": FORMAT, "tied": dict(tied)} if tied else {"format": PLAIN}
    return json.dumps({**head, **columns}, separators=(",", ":")).encode()


class Index(Mapping[tuple[str, str], Entry]):
    """Entries by part and name.

    Args:
        data: what `write` gave; trusted in no way.
        end: the first byte of the file that no tensor may reach.

    Attributes:
        tied: other names of weights, each with the name that it has among the entries.

    Raises:
        ModelLoadError: saying what is wrong, and with which tensor.
    """

    def __init__(self, data: bytes, end: int) -> None:
        values = read_object(data, "the index")
        version = values.get("format")
        if type(version) is not int or version < 1:
            raise ModelLoadError(f"the index has the format {version!r:.40}; expected a number")
        if version > FORMAT:
            raise ModelLoadError(
                f"written in format {version} by a newer version of ai-os-diffusion; this one "
                f"reads up to {FORMAT}"
            )
        self._columns = _columns(values)
        self._first = self._gather()
        self._check_empty()
        self._check_sizes()
        self._check_places(end)
        self.tied: dict[str, str] = self._tied(values.get("tied", {}))

    def __getitem__(self, key: tuple[str, str]) -> Entry:
        first, columns = self._first[key], self._columns
        stop = first + 1
        while stop < len(columns["chunk"]) and columns["chunk"][stop]:
            stop += 1

        def run(column: str, row: int) -> Bytes:
            return Bytes(*(columns[f"{column}_{what}"][row] for what in ("offset", "size", "xxh3")))

        packing = None
        if columns["method"][first]:
            words = {word: columns[word][first] for word in PACKING}
            packing = Packing(**words, params=run("params", first))
        return Entry(
            name=columns["name"][first],
            part=columns["part"][first],
            dtype=columns["dtype"][first],
            shape=tuple(columns["shape"][first]),
            chunks=tuple(run("payload", row) for row in range(first, stop)),
            packing=packing,
        )

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of the file, as `write` took them."""
        for values in zip(*(self._columns[name] for name in COLUMNS), strict=True):
            yield dict(zip(COLUMNS, values, strict=True))

    def _gather(self) -> dict[tuple[str, str], int]:
        """The first row of each tensor; those of its further chunks follow."""
        names, chunks = self._columns["name"], self._columns["chunk"]
        keys = list(zip(self._columns["part"], names, strict=True))
        several = any(chunks)
        if several:
            first = {key: row for row, key in enumerate(keys) if not chunks[row]}
        else:
            first = dict(zip(keys, range(len(keys)), strict=True))
        if len(first) != chunks.count(0):
            twice = next(
                key for row, key in enumerate(keys) if not chunks[row] and first[key] > row
            )
            raise ModelLoadError(f"{twice[1]!r:.200} stands in the index twice")
        for row, chunk in enumerate(chunks) if several else ():
            before = (keys[row - 1], chunks[row - 1]) if row else None
            if chunk and before != (keys[row], chunk - 1):
                raise ModelLoadError(f"{names[row]!r:.200}: chunk {chunk} of it is out of place")
        return first

    def _tied(self, groups: Any) -> Any:
        """What the index says of tied names, checked."""
        if not isinstance(groups, dict):
            raise ModelLoadError("the tied names of the index are no object")
        for name, other in groups.items():
            taken = (WEIGHTS, name) in self._first
            if taken or not isinstance(other, str) or (WEIGHTS, other) not in self._first:
                raise ModelLoadError(
                    f"the index ties {name!r:.200} to {other!r:.200}; expected a name that no "
                    "tensor has, and one that a tensor has"
                )
        return groups

    def _check_empty(self) -> None:
        """A shape without elements has no bytes that would keep its other sizes in bounds."""
        for name, shape in zip(self._columns["name"], self._columns["shape"], strict=True):
            if 0 in shape and math.prod(size or 1 for size in shape) > MAX_ELEMENTS:
                raise ModelLoadError(f"{name!r:.200} is empty, yet of the shape {shape!s:.80}")

    def _check_sizes(self) -> None:
        """A payload is as long as type and shape say, so that no shape takes memory by itself."""
        columns = self._columns
        names, sizes, chunks = columns["name"], columns["payload_size"], columns["chunk"]
        if any(chunks):
            sizes = list(sizes)
            for row, chunk in enumerate(chunks):
                sizes[row - chunk] += sizes[row] if chunk else 0
        widths = [DTYPES.get(dtype, 0) for dtype in columns["dtype"]]
        plain = all(widths) and not any(columns["method"])
        if plain and list(map(mul, map(math.prod, columns["shape"]), widths)) == sizes:
            return  # nothing is quantized or in chunks, as in most files
        facts = (columns[name] for name in ("dtype", "shape", "method", "bits"))
        for row, (dtype, shape, method, bits) in enumerate(zip(*facts, strict=True)):
            numel, size, width = math.prod(shape), sizes[row], DTYPES.get(dtype)
            if width is None:
                known = ", ".join(DTYPES)
                raise ModelLoadError(f"{names[row]!r:.200} is {dtype!r:.40}; known: {known}")
            if chunks[row] or (numel * width == size and not method):
                continue
            if not method:
                raise ModelLoadError(
                    f"{names[row]!r:.200} has {size} bytes, which are no {dtype} of shape {shape}"
                )
            if not 1 <= bits <= MAX_BITS or numel * bits > 8 * size:
                raise ModelLoadError(
                    f"{names[row]!r:.200} has {size} bytes, which are no codes of {bits} bits "
                    f"(1 to {MAX_BITS}) of shape {shape}"
                )

    def _check_places(self, end: int) -> None:
        """Nothing lies beyond the end, and no byte belongs to two tensors.

        Else a small file could pass for a huge model.
        """
        columns = self._columns
        offsets, sizes = columns["payload_offset"], columns["payload_size"]
        if not any(columns["params_size"]) and all(
            map(le, map(add, offsets, sizes), (*offsets[1:], end))
        ):
            return  # one behind the other, as in most files
        runs = sorted(
            run
            for column in ("payload", "params")
            for run in zip(columns[f"{column}_offset"], columns[f"{column}_size"], count())
            if run[1]
        )
        names = self._columns["name"]
        for (at, size, row), (following, _, other) in pairwise((*runs, (end, 0, 0))):
            if at + size > end:
                raise ModelLoadError(
                    f"{names[row]!r:.200} has {size} bytes at {at}, and only {end} bytes hold "
                    "tensors: the file is truncated or changed"
                )
            if at + size > following:
                both = f"{names[row]!r:.200} and {names[other]!r:.200}"
                raise ModelLoadError(f"{both} overlap in the file")


def _columns(table: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The columns, as many values in each, of the right types, no number negative."""
    names = table.get("name")
    if not isinstance(names, list):
        raise ModelLoadError("the index names no tensors")
    columns: dict[str, list[Any]] = {}
    for name, kind in COLUMNS.items():
        values = table.get(name)
        if isinstance(values, dict) and "all" in values:
            _check(name, [values["all"]], kind)
            columns[name] = [values["all"]] * len(names)
            continue
        if not isinstance(values, list) or len(values) != len(names):
            raise ModelLoadError(f"the column {name} of the index has not {len(names)} values")
        _check(name, values, kind)
        columns[name] = values
    return columns


def _check(column: str, values: list[Any], kind: type) -> None:
    if not {kind}.issuperset(map(type, values)):
        raise ModelLoadError(f"the column {column} of the index holds other than {kind.__name__}")
    if kind is list:
        if max(map(len, values), default=0) > MAX_DIMENSIONS:
            raise ModelLoadError(f"a shape has more than {MAX_DIMENSIONS} dimensions")
        values = list(chain.from_iterable(values))
        kind = int
    if kind is int and not ({int}.issuperset(map(type, values)) and min(values, default=0) >= 0):
        raise ModelLoadError(f"the column {column} of the index holds other than numbers from 0")


def read_object(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ModelLoadError: it is none.
    """
    try:
        values = strict_json.loads(data)
        if b"\\u" in data:  # half of a pair of surrogates is no text that could be shown
            json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ModelLoadError(f"{what} is no JSON: {error!s:.200}") from error
    if not isinstance(values, dict):
        raise ModelLoadError(f"{what} is no JSON object")
    return values
