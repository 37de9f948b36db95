"""Texts from files, a little at a time, as the training of a tokenizer takes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from aios_core.errors import TokenizerError

BLOCK: Final = 1 << 22
"""Characters of a file that are in memory at once."""

# No tokenizer joins a letter or digit with white space after it, so words are those of the whole.
_CUT: Final = re.compile(r"[A-Za-z0-9](?=[ \t\r\n])")


def texts(file: Path, field: str | None) -> Iterator[tuple[str, int]]:
    """Texts of a file, and how many of its bytes have been read so far.

    Args:
        file: text; with `field` ``.parquet``, ``.arrow`` or ``.feather`` with a column of texts, or
            else JSON lines.
        field: the column, or the key in every line.

    Raises:
        TokenizerError: the file cannot be read, or is not what it has to be; tells the line.
    """
    tables = {".parquet": _parquet, ".arrow": _arrow, ".feather": _arrow}
    table = tables.get(file.suffix.lower())
    try:
        if field is not None and table is not None:
            yield from table(file, field)
            return
        with file.open(encoding="utf-8", newline="") as source:
            yield from _text(source) if field is None else _lines(source, file, field)
    except OSError as error:
        raise TokenizerError(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{file}: {error}") from error


def _text(source: IO[str]) -> Iterator[tuple[str, int]]:
    """Blocks that end between words."""
    done, kept = 0, ""
    while block := source.read(BLOCK):
        kept += block
        # From the right, a line at a time or so: the last cut is near the end.
        start = max(len(kept) - 4096, 0)
        cuts = [cut.end() for cut in _CUT.finditer(kept, start)]
        if cuts:
            done += len(kept[: cuts[-1]].encode())
            yield kept[: cuts[-1]], done
            kept = kept[cuts[-1] :]
    yield kept, done + len(kept.encode())


def _lines(source: IO[str], file: Path, field: str) -> Iterator[tuple[str, int]]:
    done = 0
    for number, line in enumerate(source, 1):
        done += len(line.encode())
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            text = record[field]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise TokenizerError(
                f"{file}:{number}: expected a JSON object with the field {field!r}"
            ) from error
        yield _checked(text, f"{file}:{number}", field), done


def _parquet(file: Path, field: str) -> Iterator[tuple[str, int]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        source = pq.ParquetFile(file, memory_map=True)
        _known(file, field, source.schema_arrow.names)
        size, rows = file.stat().st_size, max(source.metadata.num_rows, 1)
        yield from _column(source.iter_batches(columns=[field]), file, field, size / rows)
    except pa.ArrowInvalid as error:
        raise TokenizerError(f"{file}: {error}") from error


def _arrow(file: Path, field: str) -> Iterator[tuple[str, int]]:
    import pyarrow as pa

    try:
        with pa.memory_map(str(file)) as mapped, pa.ipc.open_file(mapped) as source:
            _known(file, field, source.schema.names)
            batches = [source.get_batch(i) for i in range(source.num_record_batches)]
            size, rows = file.stat().st_size, max(sum(b.num_rows for b in batches), 1)
            columns = (batch.select([field]) for batch in batches)
            yield from _column(columns, file, field, size / rows)
    except pa.ArrowInvalid as error:
        raise TokenizerError(f"{file}: {error}") from error


def _column(
    batches: Iterator[Any], file: Path, field: str, bytes_a_row: float
) -> Iterator[tuple[str, int]]:
    row = 0
    for batch in batches:
        for text in batch.column(0).to_pylist():
            row += 1
            yield _checked(text, f"{file}: row {row}", field), round(row * bytes_a_row)


def _known(file: Path, field: str, names: list[str]) -> None:
    if field not in names:
        raise TokenizerError(f"{file}: no column {field!r}; expected one of {', '.join(names)}")


def _checked(text: object, where: str, field: str) -> str:
    if not isinstance(text, str):
        raise TokenizerError(f"{where}: {field!r} is {type(text).__name__}; expected text")
    return text
