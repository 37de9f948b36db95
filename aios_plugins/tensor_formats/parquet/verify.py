"""Every tensor of a weight file against what the file says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from aios_core.errors import ModelLoadError
from aios_plugins.tensor_formats.parquet.layout import BLOBS
from aios_plugins.tensor_formats.parquet.loader import WeightLoader
from aios_plugins.tensor_formats.parquet.pages import walk

if TYPE_CHECKING:
    from os import PathLike

    from aios_plugins.tensor_formats.parquet.file import WeightFile


def faults(
    path: str | PathLike[str], on_progress: Callable[[str], None] = lambda _: None
) -> Iterator[ModelLoadError]:
    """All that is wrong with a file and its shards: digests, and rows that the index contradicts.

    Args:
        path: as for `WeightLoader.open`.
        on_progress: called with the name of each tensor that was looked at.

    Yields:
        One error a fault, which names file and tensor.
    """
    try:
        files = WeightLoader.open(path).files
    except ModelLoadError as error:
        yield error
        return
    for file in files:
        for entry in file.entries.values():
            for column, run in entry.runs:
                try:
                    with file.naming(entry):
                        file.check(run, column)
                except ModelLoadError as error:
                    yield error
            on_progress(entry.name)
        try:
            with file.naming():
                _check_rows(file)
        except ModelLoadError as error:
            yield error


def _check_rows(file: WeightFile) -> None:
    """What any Parquet reader finds in the rows is what the index says."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from aios_plugins.tensor_formats.parquet.rows import SCHEMA

    try:
        metadata = pq.read_metadata(file.path)
        if metadata.schema.to_arrow_schema().names != SCHEMA.names:
            raise ModelLoadError("its columns are not those of a weight file")
        plain = [name for name in SCHEMA.names if name not in ("payload", "params")]
        rows = pq.read_table(file.path, columns=plain).to_pylist()
        starts = [
            metadata.row_group(n).column(0).data_page_offset for n in range(metadata.num_row_groups)
        ]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ModelLoadError(f"is no Parquet file: {error!s:.200}") from error
    listed = list(file.entries.rows())
    if not len(listed) == len(rows) == len(starts):
        raise ModelLoadError(f"the index lists {len(listed)} rows, and the file has {len(rows)}")
    for row, actual, start in zip(listed, rows, starts, strict=True):
        pages = dict(zip(SCHEMA.names, walk(file.data, start, len(SCHEMA)), strict=True))
        for column in ("payload", "params"):
            place = (row[f"{column}_offset"], row[f"{column}_size"])
            offset, size = pages[column].binary(file.data)
            if (offset if size else 0, size) != place:
                raise ModelLoadError(f"{row['name']!r}: its {column} lies elsewhere than indexed")
        if fault := _contradiction(row, actual):
            raise ModelLoadError(f"{row['name']!r}: its {fault}")


def _contradiction(row: dict[str, Any], actual: dict[str, Any]) -> str | None:
    for name, value in actual.items():
        if name in BLOBS:
            if value.strip(b"\0"):
                return f"{name} holds other than zeros"
        elif row[name] != value:
            return f"{name} is {value!r:.80} in the row and {row[name]!r:.80} in the index"
    return None
