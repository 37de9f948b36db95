"""Texts that come in Arrow arrays, and become ids without being Python's strings in between."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from aios_core.contracts import Padding
from aios_core.errors import TokenizerError
from aios_plugins._native import fast_tokenizer
from aios_plugins.tokenizers.bpe import Bpe
from aios_plugins.tokenizers.hf import Hf

TEXTS = ["the thesis is that the thicker thief thinks", "", "then the <mask> thins 香蕉 é", "x"]
KINDS = [pa.string(), pa.large_string(), pa.string_view()]


class Foreign:
    """An array of which nothing is known but Arrow's PyCapsule interface."""

    def __init__(self, array):
        method = "__arrow_c_array__" if isinstance(array, pa.Array) else "__arrow_c_stream__"
        setattr(type(self), method, lambda self, schema=None: getattr(array, method)(schema))


def foreign(array):
    return type("Foreign", (Foreign,), {})(array)


@pytest.fixture(scope="module", params=["bpe", "engine", "tokenizers"])
def trained(request, tmp_path_factory):
    bpe = Bpe(vocab_size=280, min_frequency=1).train(TEXTS * 2)
    if request.param == "bpe":
        return bpe
    folder = tmp_path_factory.mktemp("tokenizer")
    bpe.save(folder)
    return Hf(file=folder / "tokenizer.json", engine=request.param == "engine").train([])


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_ids_are_those_of_the_list(trained, kind):
    whole = pa.array(["not", "these", *TEXTS, "nor this"], kind)
    arrays = [
        pa.array(TEXTS, kind),
        whole[2:-1],
        pa.chunked_array([TEXTS[:1], [], TEXTS[1:]], kind),
        foreign(pa.array(TEXTS, kind)),
        foreign(pa.chunked_array([TEXTS[:3], TEXTS[3:]], kind)),
        pl.Series(TEXTS),
    ]
    rows = trained.encode_each(TEXTS)
    padding = Padding(max_length=9, padding_side="left", bos=True)
    rectangle = trained.encode_batch(TEXTS, padding)
    for array in arrays:
        for expected, actual in zip(rows, trained.encode_each(array), strict=True):
            np.testing.assert_array_equal(expected, actual)
        np.testing.assert_array_equal(rectangle, trained.encode_batch(array, padding))
    nothing = pa.array([], kind)
    assert [] == trained.encode_each(nothing)
    assert (0, 0) == trained.encode_batch(nothing)[0].shape


def test_one_array_of_ids_and_where_texts_end(trained):
    if isinstance(trained.engine, fast_tokenizer.Bpe):
        pytest.skip("it has rows only")
    for expected, actual in zip(
        trained.engine.encode_batch(TEXTS),
        trained.engine.encode_batch(pa.array(TEXTS)),
        strict=True,
    ):
        np.testing.assert_array_equal(expected, actual)


def test_a_file_may_stay_mapped(trained, tmp_path):
    table = pa.table({"text": TEXTS * 100})
    with (
        pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table, max_chunksize=90)
    with pa.memory_map(str(tmp_path / "t.arrow")) as mapped:
        column = pa.ipc.open_file(mapped).read_all()["text"]
        result = trained.encode_each(column)
    assert 5 == column.num_chunks
    for expected, ids in zip(trained.encode_each(TEXTS * 100), result, strict=True):
        np.testing.assert_array_equal(expected, ids)


def test_training_takes_them_too():
    texts = [f"{n} the thesis {n % 7}" for n in range(9000)]
    expected = Bpe(vocab_size=400).train(texts).fingerprint

    assert (
        expected == Bpe(vocab_size=400).train(pa.chunked_array([texts[:5], texts[5:]])).fingerprint
    )
    with pytest.raises(TokenizerError, match="got null in row 1"):
        Bpe(vocab_size=400).train(pa.array(["a", None]))


def damaged(old, new):
    """A column of a file in which some bytes have become others, which pyarrow just reads."""
    table = pa.table({"text": ["abc", "déf", "x"]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    old, new = (
        bytes_ if isinstance(bytes_, bytes) else np.array(bytes_, np.int32).tobytes()
        for bytes_ in (old, new)
    )
    assert 1 == content.count(old)
    return pa.ipc.open_stream(content.replace(old, new)).read_all()["text"]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (pa.array(["a", None, "b"]), "expected a text in every row, got null in row 1"),
        (pa.chunked_array([["a", "b"], ["c", None]]), "got null in row 3"),
        (
            pa.array([1, 2]),
            "expected an Arrow array of string, large_string or string_view, got Int64",
        ),
        (pa.array([b"a"]), "or string_view, got Binary"),
        (pa.array(["a"]).dictionary_encode(), "got Dictionary"),
        (pa.table({"text": ["a"]}), "got Struct"),
        (pa.record_batch({"text": ["a"]}), "got Struct"),
        (damaged("dé".encode(), b"d\xff\xfe"), "rows 0 to 2 are no texts: .*UTF-?8"),
        (damaged([3, 7, 8], [3, 5, 8]), "rows 0 to 2 are no texts: "),  # amid a character
        (damaged([3, 7, 8], [8, 3, 8]), "rows 0 to 2 are no texts: .*[Oo]ffset"),
        (damaged([3, 7, 8], [3, 7, 1 << 30]), "Length spanned by binary offsets"),
        (damaged([3, 7, 8], [3, 7, -8]), "Negative offsets in binary array"),
    ],
)
def test_what_is_no_text_is_named(trained, array, message):
    for encode in (trained.encode_each, trained.encode_batch):
        with pytest.raises(TokenizerError, match=message):
            encode(array)


def test_objects_that_are_neither_are_refused(trained):
    for texts in (7, [7], [None], [b"a"]):
        with pytest.raises(TypeError):
            trained.encode_each(texts)
