from __future__ import annotations

import glob
import gzip
import json
import zipfile
from pathlib import Path

import pytest

from aios_core.errors import DataError
from aios_core.testing.contracts.dataset import DatasetContract
from aios_plugins.datasets.file import File


class TestFile(DatasetContract):
    @pytest.fixture
    def instance(self, tmp_path):
        (tmp_path / "a.txt").write_text("Füße. " * 20, encoding="utf-8")
        (tmp_path / "b.txt").write_text("Hände. " * 20, encoding="utf-8")
        return File((tmp_path / "a.txt", tmp_path / "b.txt"))


@pytest.fixture
def write(tmp_path):
    def write(name: str, data: bytes | str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write


def documents(path, **settings):
    return list(File(path, **settings).documents())


def problem(path, **settings) -> str:
    with pytest.raises(DataError) as caught:
        documents(path, **settings)
    return str(caught.value)


def test_text_is_kept_as_it_is(write):
    text = "one\r\ntwo\tthree\n\n"

    assert [text] == documents(write("a.txt", text))


def test_files_keep_their_order_and_patterns_are_sorted(write, tmp_path):
    z, a, b = write("z.txt", "z"), write("deep/a.txt", "a"), write("deep/deeper/b.txt", "b")

    assert ["z", "a", "b"] == documents((z, tmp_path / "deep" / "**" / "*"))
    assert ["b", "a"] == documents((b, a))


def test_a_pattern_has_one_order_on_every_disk(write, tmp_path, monkeypatch):
    """That of the names: what is held out depends on it."""
    for name in ("b.txt", "a.txt", "c/d.txt", "B.txt"):
        write(name, name)
    real = glob.glob
    for order in (sorted, lambda names: sorted(names, reverse=True)):
        monkeypatch.setattr(
            glob, "glob", lambda *how, order=order, **more: order(real(*how, **more))
        )
        assert ["B.txt", "a.txt", "b.txt", "c/d.txt"] == documents(tmp_path / "**" / "*.txt")


def test_a_name_that_looks_like_a_pattern_is_a_name(write):
    assert ["x"] == documents(write("a[1].txt", "x"))


def test_lines(write):
    lines = '{"text": "one"}\n\n{"text": "two\\n", "more": 1}'

    assert ["one", "two\n"] == documents(write("a.jsonl", lines))
    assert ["q"] == documents(write("b.JSONL", '{"question": "q"}'), key="question")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "a.jsonl:2: is not JSON"),
        ("[" * 100_000, "a.jsonl:2: is not JSON"),
        (
            '{"other": "x"}',
            "text under 'text', got no such key among ['other']",
        ),
        ('{"text": null}', "expected a text under 'text', got NoneType among"),
        ('"text"', "got str"),
        ('{"text": "\\ud800"}', "half of a surrogate pair"),
        ('{"text": "ü and \\udfff and more"}', "half of a surrogate pair"),
        (b"\xff", "a.jsonl:2: byte 0 (0xff) is not utf-8"),
    ],
)
def test_faulty_lines(write, line, expected):
    data = line if isinstance(line, bytes) else line.encode()

    assert expected in problem(write("a.jsonl", b'{"text": "fine"}\n' + data))


def archive(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in members.items():
            file.writestr(name, text)
    return path


def test_archives(tmp_path):
    members = {"b.txt": "second", "a.TXT": "first", "c.png": "no text", "../../up.txt": "zeroth"}

    assert ["zeroth", "first", "second"] == documents(archive(tmp_path / "a.zip", **members))
    assert [tmp_path / "a.zip"] == list(tmp_path.iterdir()), "nothing is unpacked to the disk"


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    bomb = archive(tmp_path / "a.zip", **{"a.txt": "0" * 10_000, "b.txt": "0" * 10_000})

    assert "unpacks to 20000 bytes" in problem(bomb, max_bytes=19_999)
    assert 2 == len(documents(bomb, max_bytes=20_000))


def test_an_archive_that_lies_about_its_size_is_refused(tmp_path):
    path = archive(tmp_path / "a.zip", **{"a.txt": "0" * 10_000})
    true, lie = (10_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(true, lie))

    assert "not a sound zip archive" in problem(path, max_bytes=100)


def test_damaged_archives(write, tmp_path):
    whole = archive(tmp_path / "a.zip", **{"a.txt": "text " * 100}).read_bytes()

    assert "not a sound zip archive" in problem(write("b.zip", whole[:-30]))
    assert "not a sound zip archive" in problem(write("c.zip", whole[:45] + b"xx" + whole[47:]))
    pictures = archive(tmp_path / "d.zip", **{"a.png": "x"})
    assert "holds no file that has a reader; there are .png (1)" in problem(pictures)


def test_invalid_utf8_names_file_and_byte(write):
    message = problem(write("a.txt", b"abc\xfc"))

    assert "a.txt: byte 3 (0xfc) is not utf-8" in message
    assert "dataset.encoding" in message
    assert "b.txt:3: byte 1 (0xfc) is not utf-8" in problem(write("b.txt", b"abc\n\na\xfc\n"))


def test_another_encoding(write):
    assert ["ü"] == documents(write("a.txt", b"\xfc"), encoding="latin-1")


def test_each_file_has_the_first_encoding_that_reads_it(write, tmp_path):
    """Everything else of section 4: one encoding for all files."""
    several = ("utf-8", "latin-1")
    first, other = write("a.txt", "Füße"), write("b.txt", "Hände".encode("latin-1"))
    lines = write("c.jsonl", '{"text": "a"}\n{"text": "ü"}'.encode("latin-1"))
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as file:
        file.writestr("1.txt", "Füße")
        file.writestr("2.txt", "Hände".encode("latin-1"))

    assert ["Füße", "Hände", "a", "ü", "Füße", "Hände"] == documents(
        (first, other, lines, tmp_path / "d.zip"), encoding=several
    )
    assert "d.zip[2.txt]: byte 1 (0xe4) is not utf-8" in problem(tmp_path / "d.zip")


def test_an_encoding_is_tried_from_the_first_byte_on(write):
    """Of lines too; of two bytes a letter, one that is passed over spoils all."""
    line = json.dumps({"text": "Füße"}, ensure_ascii=False) + "\n"
    several = ("utf-16-le", "latin-1")

    assert ["Füße"] == documents(write("a.jsonl", line.encode("utf-16-le")), encoding=several)
    assert ["Füße"] == documents(write("b.jsonl", line[:-1].encode("latin-1") + b"\n" * 2),
                                 encoding=("utf-8", *several[1:]))  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_heard_and_is_no_text(write, encoding):
    """Everything else of section 4: a mark stayed in the text."""
    line = json.dumps({"text": "Füße\nHände"}, ensure_ascii=False) + "\n"

    assert ["Füße"] == documents(write("a.txt", "Füße".encode(encoding)))
    assert 2 * ["Füße\nHände"] == documents(write("a.jsonl", (2 * line).encode(encoding)))


def test_text_that_is_taken_for_another_encoding_is_told(write, caplog):
    """Everything else of section 4: UTF-8 was read as latin-1 without a word."""
    documents(write("a.txt", "plain"), encoding="latin-1")
    documents(write("b.txt", "Hände".encode("latin-1")), encoding="latin-1")
    assert not caplog.text

    documents(write("c.txt", "Hände"), encoding="latin-1")
    assert "c.txt: is UTF-8, and is read as latin-1" in caplog.text


@pytest.mark.parametrize("encoding", ["no-such", "zlib", ""])
def test_what_is_no_encoding(encoding):
    with pytest.raises(ValueError, match="expected a text encoding"):
        File(Path("x"), encoding=encoding)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.gz.txt", "gzip"), ("a.jsonl", "gzip"), ("a.zip.txt", "zip")]
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_what_is_no_text_is_not_read_as_latin_1(tmp_path, name, kind, encoding):
    """Fault D8: the remedy that was named trained on the bytes of an archive."""
    path = tmp_path / name
    with zipfile.ZipFile(path, "w") if kind == "zip" else gzip.open(path, "w") as file:
        file.writestr("a.txt", "text") if kind == "zip" else file.write(b'{"text": "a"}\n')

    with pytest.raises(DataError, match=f"expected text, .* of the kind {kind}"):
        list(File(path, encoding=encoding).documents())


def test_missing_files(tmp_path):
    assert "no such file" in problem(tmp_path / "a.txt")
    assert "'$HOME' in it is not replaced" in problem(tmp_path / "$HOME" / "a.txt")
    assert "no file matches" in problem(tmp_path / "*.txt")
    assert "holds no file that has a reader" in problem(tmp_path)


def test_no_file_at_all():
    with pytest.raises(ValueError, match="path"):
        File(())


def test_a_config_can_write_what_lines_hold(write):
    text = 'quote " backslash \\ tab \t'

    assert [text] == documents(write("a.jsonl", json.dumps({"text": text})))
