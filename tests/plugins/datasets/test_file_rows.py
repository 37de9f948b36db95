"""Rows of files: prompts with answers, chats, splits, and what is wrong with them."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aios_core.contracts import Control, Row, Segment
from aios_core.errors import DataError
from aios_core.formats import reader_of
from aios_core.testing.contracts.reader import ReaderContract
from aios_plugins.datasets.file import File
from aios_plugins.readers.compressed import Bzip2, Gzip, Xz, Zstandard
from aios_plugins.readers.delimited import Csv, Tsv
from aios_plugins.readers.json import Json

PAIRS = [{"q": "1+1", "a": "2"}, {"q": "2,2", "a": "4"}]


@pytest.mark.parametrize("reader", [Bzip2, Gzip, Xz, Zstandard, Csv, Tsv, Json])
class TestReaders(ReaderContract):
    @pytest.fixture
    def instance(self, reader):
        return reader()


def as_bytes(suffix: str) -> bytes:
    if suffix == ".parquet":
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(PAIRS), sink)
        return bytes(sink.getvalue())
    text = {
        ".jsonl": "".join(json.dumps(pair) + "\n" for pair in PAIRS),
        ".json": json.dumps(PAIRS),
        ".csv": 'q,a\r\n1+1,2\r\n"2,2",4\r\n',
        ".tsv": "q\ta\n1+1\t2\n2,2\t4\n",
    }[suffix]
    return text.encode()


def zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


PACKED = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_every_kind_compressed_in_a_zip_and_in_a_folder(tmp_path, suffix, packing):
    """Faults D4 and D9: one key of JSON lines could be read; all else was one document."""
    name, data = f"a{suffix}{packing}", PACKED[packing](as_bytes(suffix))
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / name).write_bytes(data)
    (tmp_path / "folder" / ".hidden.csv").write_text("no,row\n")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.writestr(name, data)
        file.writestr("__MACOSX/b.csv", "no,row\n")
    expected = [
        Row(
            (
                Segment("prompt", (Control("Q: "), q, Control("\nA: ")), "given"),
                Segment("answer", a),
            )
        )
        for q, a in (("1+1", "2"), ("2,2", "4"))
    ]
    for path in (tmp_path / "folder" / "deep" / name, tmp_path / "folder", tmp_path / "z.zip"):
        rows = list(File(path, prompt="Q: {q}\nA: ", answer="a").all_rows())

        assert expected == rows
        assert all(name in row.where for row in rows), rows[0].where
        assert ["1+1", "2,2"] == list(File(path, key="q").documents())


def test_names_of_columns_and_templates(tmp_path):
    path = lines(tmp_path, {"input": "a", "output": 7, "{x}": "b"})
    (row,) = File(path, prompt="input", answer="{output} {{end}}").all_rows()

    assert ("a", ("7", Control(" {end}"))) == tuple(segment.content for segment in row.segments)
    assert "a.jsonl:1" in row.where


def lines(folder: Path, *rows, name: str = "a.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def turn(role: str, content) -> dict:
    return {"role": role, "content": content}


CHAT = [turn("system", "Be {short}."), turn("user", "Hi"), turn("assistant", "Yo"),
        turn("user", "And?"), turn("assistant", "<eos>No"), turn("user", "left out")]  # fmt: skip


def test_chats(tmp_path):
    path = lines(tmp_path, {"m": CHAT})
    (row,) = File(path, messages="m").all_rows()
    (last,) = File(path, messages="m", learn="last").all_rows()

    assert "Be {short}.\n\nUser: Hi\nAssistant: User: And?\nAssistant: " == row.joined("given")
    assert "Yo\n<eos>No\n" == row.joined("target")
    assert "<eos>No\n" == last.joined("target")
    assert row.joined("given", "target") == last.joined("given", "target")


def test_templates_of_a_chat(tmp_path):
    path = lines(tmp_path, {"m": CHAT[1:3]})
    own = {"user": "<u>{content}</u>", "assistant": "<a>{content}</a>"}
    (row,) = File(path, messages="m", template=own).all_rows()

    assert ("<u>Hi</u><a>", "Yo</a>") == (row.joined("given"), row.joined("target"))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], "expected a turn of the assistant, got no turn"),
        ([turn("user", "a")], "expected a turn of the assistant, got user"),
        ([turn("user", "a"), turn("assistant", "")], "turn 2: the answer of the"),
        ([turn("user", "a"), turn("system", "b"), turn("assistant", "c")], "once, and first"),
        ([turn("system", "a"), turn("system", "b"), turn("assistant", "c")], "once, and first"),
        ([{"role": "user", "from": "gpt", "content": "a"}], "turn 1: expected an object with role"),
        ([turn("tool", "a"), turn("assistant", "b")], "turn 1 has the role 'tool'"),
        (
            [turn("user", "a"), turn("assistant", "b") | {"tool_calls": [{"id": "1"}]}],
            "turn 2: 'tool_calls' is not read",
        ),
        ([turn("user", 7)], "expected a text under 'content', got int"),
        ([{"role": "user"}], "no such key among ['role']"),
        (["a"], "turn 1: expected an object with role and content, got str"),
        ("a", "'m' is str; expected a list"),
        ([turn("user", [{"type": "image"}])], "parts of content that are text, got 'image'"),
    ],
)  # fmt: skip
def test_faulty_chats(tmp_path, messages, expected):
    path = lines(tmp_path, {"m": CHAT}, {"m": messages})
    with pytest.raises(DataError) as caught:
        list(File(path, messages="m").all_rows())
    assert f"{path}:2" in str(caught.value)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"q": "a", "a": ""}, "the answer is empty"),
        ({"q": "a"}, "no column 'a'; expected one of q"),
        ({"q": ["a"], "a": "b"}, "'q' is list; expected text or a number"),
        ({"q": "a", "a": None}, "'a' is NoneType"),
    ],
)
def test_faulty_pairs(tmp_path, row, expected):
    path = lines(tmp_path, PAIRS[0], row)
    with pytest.raises(DataError) as caught:
        list(File(path, prompt="q", answer="a").all_rows())
    assert f"{path}:2" in str(caught.value)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"prompt": "q"}, "expected answer as well"),
        ({"answer": "q"}, "expected prompt as well"),
        ({"prompt": "{q", "answer": "a"}, "expected"),
        ({"prompt": "{q}{a}", "answer": "a"}, "so the answer would be given"),
        ({"prompt": "q", "answer": "a", "messages": "m"}, "leave one out"),
        ({"template": {"assistant": "{content}"}}, "expected messages as well"),
        ({"prompt_role": "target"}, "is for prompts and answers; expected these as well"),
        ({"messages": "m", "prompt_role": "target"}, "is for prompts and answers"),
        ({"messages": "m", "template": {"user": "{content}"}}, "for the role assistant"),
        ({"messages": "m", "template": {"assistant": "a"}}, "expected {content} once"),
    ],
)
def test_settings_that_do_not_go_together(values, expected):
    with pytest.raises(ValueError, match=r".") as caught:
        File(Path("a.jsonl"), **values)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.csv", b"q,a\n1\n", "a.csv:2: is not CSV: expected 2 values"),
        ("a.csv", b'q,a\n1,"2\n', "a.csv:2: is not CSV"),
        ("a.csv", b"q,a\n1,2\n3,\xff\n", "a.csv:3: byte 2 (0xff) is not utf-8"),
        ("a.csv", b"q,q\n1,2\n", "expected each column once"),
        ("a.csv", b"", "got nothing"),
        ("a.json", b'[{"q": "1", "a": "2"}, {"q": }]', "a.json: row 2: is not JSON"),
        ("a.json", b'{"q": "1",\n "a": "2"}', "expected an array of objects"),
        ("a.json", b'[{"q": "1", "a": "2"}, 3]', "row 2: expected an object"),
        ("a.parquet", b"PAR1 no", "a.parquet: is not Parquet"),
        ("a.jsonl.gz", b"{}", "a.jsonl.gz: is not a sound .gz file"),
        ("a.jsonl.zst", b"{}", "a.jsonl.zst: is not a sound .zst file"),
        ("a.txt", b"text", "is text, which has no columns"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(tmp_path, name, data, expected):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        list(File(tmp_path / name, prompt="q", answer="a").all_rows())
    assert expected in str(caught.value)


def test_a_compressed_file_unpacks_to_so_much_at_most(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(bytes(10_000)))
    with pytest.raises(DataError, match=r"a\.txt\.gz: unpacks to more than 9999 bytes"):
        list(File(path, max_bytes=9_999).documents())


def test_a_sorted_file_does_not_mislead(tmp_path):
    """Fault D6: of rows that are sorted by kind the last kind alone was held out."""
    path = lines(tmp_path, *({"text": f"{'A' if n < 900 else 'B'} {n}"} for n in range(1000)))
    held_out = [row.text for row in File(path).rows("validation")]
    other = [row.text for row in File(path, split_seed=1).rows("validation")]

    assert 100 == len(held_out)
    assert 75 <= sum(text.startswith("A") for text in held_out) <= 99
    assert held_out != other
    assert 1000 == len({*held_out, *(row.text for row in File(path).rows("train"))})
    end = [row.text for row in File(path, split="end").rows("validation")]
    assert all(text.startswith("B") for text in end[1:])


def test_equal_rows_are_in_one_split(tmp_path):
    path = lines(tmp_path, *({"text": f"{n % 20}"} for n in range(200)))
    train, held_out = ({row.text for row in File(path).rows(s)} for s in ("train", "validation"))

    assert train
    assert held_out
    assert not train & held_out
    with pytest.raises(DataError, match="got 20, nearly all of them equal"):
        list(File(lines(tmp_path, *(20 * [{"text": "a"}]))).rows("train"))


def test_a_validation_file(tmp_path):
    train, other = lines(tmp_path, *PAIRS), lines(tmp_path, {"q": "3", "a": "4"}, name="b.jsonl")
    dataset = File(train, validation=other, prompt="q", answer="a")

    assert ["2", "4"] == [row.joined("target") for row in dataset.rows("train")]
    assert ["4"] == [row.joined("target") for row in dataset.rows("validation")]
    assert (train, other) == dataset.files()


@pytest.mark.parametrize("divided", [True, False])
def test_a_test_file(tmp_path, divided):
    """Fault D6: no file of one's own to test on."""
    train, other = lines(tmp_path, *PAIRS), lines(tmp_path, {"q": "3", "a": "4"}, name="b.jsonl")
    last = lines(tmp_path, {"q": "5", "a": "6"}, {"q": "7", "a": "8"}, name="c.jsonl")
    own = {} if divided else {"validation": other}
    dataset = File(train, **own, test=last, prompt="q", answer="a")
    read = {split: [] for split in dataset.splits()}
    for split, row in dataset.parted():
        read[split].append(row)

    assert ["6", "8"] == [row.joined("target") for row in dataset.rows("test")]
    assert read == {split: list(dataset.rows(split)) for split in ("train", "validation", "test")}
    assert [1 if divided else 2, 1, 2] == [len(rows) for rows in read.values()]
    assert last in dataset.files()
    assert ["train", "validation"] == [*File(train).splits()]


@pytest.mark.parametrize("of", ["training", "validation"])
def test_a_test_file_that_is_of_another_split(tmp_path, of):
    train, other = lines(tmp_path, *PAIRS), lines(tmp_path, {"q": "3", "a": "4"}, name="b.jsonl")
    copy = tmp_path / "c.jsonl"
    copy.write_bytes((train if of == "training" else other).read_bytes())
    message = rf"c\.jsonl: the test file holds what the {of} file .* or no `dataset\.test`"
    with pytest.raises(DataError, match=message):
        list(File(train, validation=other, test=copy, prompt="q", answer="a").parted())


@pytest.mark.parametrize("how", ["same", "copy", "link", "folder"])
def test_a_validation_file_that_is_trained_on(tmp_path, how):
    train, other = lines(tmp_path, *PAIRS), tmp_path / "b.jsonl"
    if how == "copy":
        other.write_bytes(train.read_bytes())
    elif how == "link":
        other.symlink_to(train)
    with pytest.raises(DataError, match="the validation file holds what the training file"):
        File(
            tmp_path if how == "folder" else train,
            validation=train if how in ("same", "folder") else other,
            prompt="q", answer="a",
        ).rows("validation")  # fmt: skip


def test_a_data_set_that_changes_while_it_is_read(tmp_path):
    path = lines(tmp_path, *({"text": f"{n}"} for n in range(20)))
    rows = File(path).all_rows()
    next(rows)
    lines(tmp_path, *({"text": f"{n}"} for n in range(1, 21)))
    with pytest.raises(DataError, match=r"a\.jsonl: was changed while it was being read"):
        list(rows)


def test_kinds_without_a_reader_are_told(tmp_path, caplog):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.html").write_text("<p>")
    list(File(tmp_path).documents())
    assert "left out, without a reader: .html (1)" in caplog.text
    list(File(tmp_path / "b.html").documents())
    assert "read as texts, one document each, without a reader: .html (1)" in caplog.text


def test_a_reader_of_an_unpacked_file_names_what_the_user_has(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"q,a\n1,\n"))
    with pytest.raises(DataError) as caught:
        list(File(path, prompt="q", answer="a").all_rows())
    assert str(caught.value).startswith(f"{path}:2: the answer is empty")
    assert "Gzip" == type(reader_of(path)).__name__
