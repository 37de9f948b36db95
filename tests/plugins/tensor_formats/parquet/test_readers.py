"""Any Arrow reader opens our files."""

import math

import pytest
import torch

from aios_core.contracts import QuantizedTensor
from aios_plugins.tensor_formats.parquet.index import COLUMNS
from aios_plugins.tensor_formats.parquet.layout import digest
from aios_plugins.tensor_formats.parquet.loader import WeightLoader
from aios_plugins.tensor_formats.parquet.pages import walk
from aios_plugins.tensor_formats.parquet.rows import SCHEMA

READ = ["name", "part", "chunk", "shape", "dtype", "bits", "payload_xxh3", "payload", "params"]


def by_pyarrow(path):
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=READ).to_pylist()


def by_duckdb(path):
    import duckdb

    result = duckdb.sql(f"SELECT {', '.join(READ)} FROM '{path}'")
    return [dict(zip(READ, row, strict=True)) for row in result.fetchall()]


def by_polars(path):
    import polars as pl

    return pl.read_parquet(path, columns=READ).to_dicts()


@pytest.mark.parametrize("read", [by_pyarrow, by_duckdb, by_polars])
def test_other_readers_find_the_same(path, tensors, read):
    rows = read(path)

    assert list(tensors) == [row["name"] for row in rows]
    for row in rows:
        tensor = tensors[row["name"]]
        packed = isinstance(tensor, QuantizedTensor)
        flat = tensor.codes if packed else tensor.contiguous().reshape(-1)
        assert ("weights", 0) == (row["part"], row["chunk"])
        assert list(tensor.shape) == row["shape"]
        assert str(tensor.dtype).removeprefix("torch.") == row["dtype"]
        assert (4 if packed else 8 * tensor.element_size()) == row["bits"]
        assert bytes(flat.view(torch.uint8).tolist()) == row["payload"]
        assert digest(row["payload"]) == row["payload_xxh3"]
        assert (bytes(tensor.params.tolist()) if packed else b"") == row["params"]


def test_a_page_is_the_bytes(path):
    """One row group a row, one plain page a column, and the index says where."""
    import pyarrow.parquet as pq

    metadata, data = pq.read_metadata(path), path.read_bytes()
    loader = WeightLoader.open(path)

    assert set(COLUMNS) - {
        f"{c}_{w}" for c in ("payload", "params") for w in ("offset", "size")
    } == (set(SCHEMA.names) - {"padding", "payload", "params_padding", "params"})
    for number, name in enumerate(loader):
        group = metadata.row_group(number)
        assert 1 == group.num_rows
        pages = list(walk(data, group.column(0).data_page_offset, group.num_columns))
        for column, page in enumerate(pages):
            assert page.start == group.column(column).data_page_offset
            assert "UNCOMPRESSED" == group.column(column).compression
        for column, run in loader.entry(name).runs:
            page = pages[SCHEMA.names.index(column)]
            assert run.size == page.binary(data)[1]
            assert run.offset == (page.binary(data)[0] if run.size else 0)
            assert 0 == run.offset % 64
    assert math.prod(loader.entry("none").shape) == 0
