from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from aios_core.config import training_key, trial_key
from aios_core.contracts import Vocabulary
from aios_core.contracts.dataset import SPLITS
from aios_core.errors import DataError, TokenizerError
from aios_core.files import cache_folder
from aios_core.registry import Registry
from aios_core.training import corpus as corpora
from aios_core.training.corpus import Corpus, _settled
from aios_core.training.data import Tokens, prepare
from aios_core.training.data import tokens as tokens_of
from aios_core.training.layout import Framing
from aios_core.training.spool import Spool
from aios_core.training.token_rows import TokenRows
from aios_plugins.tokenizers.bpe import Bpe
from aios_plugins.tokenizers.bytes import TrainedBytes
from aios_plugins.tokenizers.hf import TrainedHf

VOCABULARY = Vocabulary(size=10_004, mask_id=10_000, pad_id=10_001, bos_id=10_002, eos_id=10_003)


def tokens(count: int, length: int = 10) -> Tokens:
    """A stream of numbers."""
    rows = TokenRows.of([np.arange(count, dtype=np.int32)], VOCABULARY)
    return Tokens(rows, count, "", Framing(length, documents=False))


@pytest.mark.parametrize(("count", "length"), [(10, 5), (11, 5), (3, 5), (1, 1), (5, 1)])
def test_windows_hold_every_token_once(count, length):
    ids, valid = tokens(count).windows(length)

    assert ids[valid].tolist() == list(range(count))
    assert (ids[~valid] == VOCABULARY.pad_id).all()
    assert ids.shape == valid.shape == (-(-count // length), length)
    assert ids.dtype == torch.int64


def test_some_windows_are_spread_over_the_split():
    ids, valid = tokens(95).windows(10, 4)

    assert ids[:, 0].tolist() == [0, 30, 60, 90]
    assert valid.sum(-1).tolist() == [10, 10, 10, 5]
    assert tokens(95).windows(10, 99)[0].equal(tokens(95).windows(10)[0])
    assert tokens(95).sequences(10, 4).ids.equal(ids)


def test_batches_are_a_function_of_seed_and_step():
    data = tokens(1000)
    batch = data.batch(3, 0, 4).ids

    assert batch.equal(data.batch(3, 0, 4).ids)
    assert not batch.equal(data.batch(4, 0, 4).ids)
    assert not batch.equal(data.batch(3, 1, 4).ids)


def test_batches_are_the_same_on_every_machine():
    assert tokens(1000, 1).batch(3, 7, 4).ids[:, 0].tolist() == [255, 687, 477, 311]


def test_batches_are_windows_and_reach_both_ends():
    rows = tokens(12).batch(0, 0, 1000).ids

    assert (rows.diff(dim=1) == 1).all()
    assert set(rows[:, 0].tolist()) == {0, 1, 2}


def test_a_window_may_be_the_whole_split():
    assert tokens(10).batch(0, 0, 1).ids.tolist() == [list(range(10))]


def test_prepares_both_splits(tiny, corpus):
    prepared = prepare(tiny())
    text = corpus.read_text()

    ids = np.concatenate([prepared.train.ids, prepared.held_out.ids])
    assert text == prepared.tokenizer.decode(ids[ids != prepared.tokenizer.vocabulary.eos_id])
    assert prepared.train.num_bytes + prepared.held_out.num_bytes == len(text.encode())
    assert len(prepared.held_out.ids) == pytest.approx(len(text) / 10, abs=2)
    assert isinstance(prepared.train.rows.ids, np.memmap)


@pytest.mark.parametrize(
    ("packing", "ends"), [("documents", [20, 41, 62, 75]), ("stream", [20, 41, 62])]
)
def test_end_of_text_stands_behind_documents(tiny, tmp_path, packing, ends):
    """Of a stream, between them alone; a document in which a split ends, ends there."""
    for name in ("1", "2", "3", "4"):
        (tmp_path / f"{name}.txt").write_text(name * 20)
    over = f"dataset.path={tmp_path}/[1234].txt", f"diffusion.packing={packing}"
    prepared = prepare(tiny(*over))
    ids, eos = prepared.train.ids.tolist(), prepared.tokenizer.vocabulary.eos_id

    assert [i for i, token in enumerate(ids) if token == eos] == ends
    assert (packing == "documents") == (eos in prepared.held_out.ids)


def test_the_second_time_nothing_is_written(tiny, corpus):
    os.utime(corpus, (1, 1))
    first = prepare(tiny())
    written = {path: path.stat().st_mtime_ns for path in cache_folder().rglob("*")}
    second = prepare(tiny())

    assert written == {path: path.stat().st_mtime_ns for path in cache_folder().rglob("*")}
    assert first.fingerprint == second.fingerprint


_OPENED: list[str] | None = None


def _hook(event, arguments):
    if _OPENED is not None and event == "open":
        _OPENED.append(str(arguments[0]))


sys.addaudithook(_hook)


@pytest.fixture
def opened(monkeypatch):
    """Every file that this process opens, by name."""
    results: list[str] = []
    monkeypatch.setattr(sys.modules[__name__], "_OPENED", results)
    return results


def test_a_corpus_is_read_once_and_not_again_while_it_is_as_it_was(tiny, corpus, opened):
    """Part 4: its digest is kept beside size, time and inode."""
    os.utime(corpus, (1, 1))
    first = prepare(tiny())
    assert 1 == opened.count(str(corpus))
    assert first.fingerprint == prepare(tiny("tokenizer.type=bytes")).fingerprint
    assert 1 == opened.count(str(corpus))

    prepare(tiny("tokenizer.type=bpe", "tokenizer.vocab_size=270"))
    assert 2 == opened.count(str(corpus)), "another tokenizer reads it once more"


@pytest.mark.parametrize("how", ["time is put back", "another file", "at once"])
def test_a_changed_corpus_is_noticed(tiny, corpus, tmp_path, how):
    """Part 4: as many bytes as before, and the time that it had."""
    before, changed = prepare(tiny()).fingerprint, corpus.read_text().replace("milk", "mild", 1)
    if how != "at once":
        os.utime(corpus, (1, 1))
        assert before == prepare(tiny()).fingerprint
    if how == "another file":
        (tmp_path / "other").write_text(changed)
        os.utime(tmp_path / "other", (1, 1))
        (tmp_path / "other").replace(corpus)
    else:
        corpus.write_text(changed)
    if how == "time is put back":
        os.utime(corpus, (1, 1))

    assert before != prepare(tiny()).fingerprint


@pytest.mark.parametrize("what", ["code", "version", "distribution"])
def test_a_digest_is_that_of_a_data_set_as_it_is_now(tiny, corpus, opened, monkeypatch, what):
    """Another version of its plugin, or other sources, may read other texts."""
    os.utime(corpus, (1, 1))
    before = prepare(tiny()).fingerprint
    if what == "code":
        monkeypatch.setattr(corpora, "code", lambda component: "other sources")
    else:
        get = Registry.get

        def changed(self, kind, name):
            result = get(self, kind, name)
            return attrs.evolve(result, **{what: "other"}) if kind == "dataset" else result

        monkeypatch.setattr(Registry, "get", changed)
    assert before == prepare(tiny("tokenizer.type=bytes")).fingerprint
    assert 2 == opened.count(str(corpus))


def test_a_damaged_digest_is_made_again(tiny, corpus):
    """Part 4: what is kept is as untrusted as every file."""
    os.utime(corpus, (1, 1))
    before = prepare(tiny()).fingerprint
    (kept,) = cache_folder().glob("corpora/*.json")
    for data in ("", "[]", kept.read_text().replace("a", "b")):
        kept.write_text(data)
        assert before == prepare(tiny()).fingerprint
    whole, other = json.loads(kept.read_text()), "0" * 64
    for split, entry in (("train", 1), ("validation", 1), ("train", 0), ("validation", 0)):
        changed = json.loads(kept.read_text())
        changed["contents"][split][entry] = [other, 7][entry]
        kept.write_text(json.dumps(changed))
        result = prepare(tiny())
        sizes = [result.train.num_bytes, result.held_out.num_bytes]

        assert before == result.fingerprint
        assert [whole["contents"][text][1] for text in ("train", "validation")] == sizes


def test_where_documents_end_counts(tiny, tmp_path):
    """Section 5, training/data.py: as many letters in other documents are other texts."""
    results = []
    for number, texts in enumerate((("ab" * 20, "c" * 20), ("ab" * 20 + "c", "c" * 19))):
        for name, text in zip("12", texts, strict=True):
            (tmp_path / f"{number}-{name}.txt").write_text(text)
        (tmp_path / f"{number}-3.txt").write_text("d" * 60)
        results.append(prepare(tiny(f"dataset.path={tmp_path}/{number}-*.txt")).train)

    assert results[0].fingerprint != results[1].fingerprint
    assert results[0].ids.tolist() != results[1].ids.tolist()


def test_without_a_place_for_a_cache_everything_works_and_is_told_once(
    tiny, tmp_path, monkeypatch, caplog
):
    """Fault N7: a HOME that cannot be written, as in containers."""
    (tmp_path / "file").touch()
    before = prepare(tiny()).fingerprint
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "file" / "cache"))

    assert [before, before] == [prepare(tiny()).fingerprint for _ in range(2)]
    assert 1 == caplog.text.count("cannot be written, so nothing is cached")


def test_other_text_has_another_fingerprint(tiny, corpus):
    first = prepare(tiny()).fingerprint
    corpus.write_text(corpus.read_text().replace("milk", "mild"))

    assert first != prepare(tiny()).fingerprint


def test_where_documents_end_is_part_of_the_fingerprint(tiny, tmp_path):
    """The same characters, parted in another place, are other tokens; a cache must not mix them."""
    first, other = (
        prepare(tiny(f"dataset.path={_parted(tmp_path / f'p{i}', at)}/*.txt"))
        for i, at in enumerate((30, 31))
    )
    assert first.train.ids.tolist() != other.train.ids.tolist()
    assert first.train.fingerprint != other.train.fingerprint


def _parted(folder, at):
    """A text of which the first document ends there."""
    folder.mkdir()
    text = "a text that is parted in one place or the next. " * 4
    for name, part in (("1", text[:at]), ("2", text[at:]), ("3", text), ("4", "held out " * 9)):
        (folder / f"{name}.txt").write_text(part)
    return folder


def test_the_tokenizer_never_sees_the_held_out_split(tiny, corpus):
    bpe = ("tokenizer.type=bpe", "tokenizer.vocab_size=270")
    first = prepare(tiny(*bpe)).tokenizer.fingerprint
    text = corpus.read_text()
    corpus.write_text(text[:-100] + "qw" * 50)

    assert first == prepare(tiny(*bpe)).tokenizer.fingerprint
    corpus.write_text("qw" * 1000 + text[2000:])
    assert first != prepare(tiny(*bpe)).tokenizer.fingerprint


@pytest.mark.parametrize("kind", ["bpe", "hf"])
def test_a_tokenizer_file_that_changes_in_its_place_is_read_again(tiny, tmp_path, kind):
    """And is another tokenizer, whatever the cache holds by its name."""
    sizes = []
    for size in (270, 290):
        learned = prepare(tiny("tokenizer.type=bpe", f"tokenizer.vocab_size={size}")).tokenizer
        learned.save(tmp_path)
        over = f"tokenizer={{type='{kind}', file='{tmp_path / 'tokenizer.json'}'}}"
        sizes.append(prepare(tiny(over)).tokenizer.vocabulary.size)

    assert [270, 290] == [size - 4 * (kind == "hf") for size in sizes]


@pytest.mark.parametrize("damage", ["truncate", "change", "remove", "seal"])
def test_a_damaged_cache_is_made_again(tiny, damage, caplog):
    good = prepare(tiny()).train.ids.copy()
    for path in cache_folder().glob("rows/*/ids.i32"):
        match damage:
            case "truncate":
                path.write_bytes(path.read_bytes()[:-8])
            case "change":
                path.write_bytes(b"\1\1\1\1" + path.read_bytes()[4:])
            case "remove":
                path.unlink()
            case "seal":
                path.with_name("manifest.json").write_text('{"ids.i32": {"bytes": "x"}')

    assert good.tolist() == prepare(tiny()).train.ids.tolist()
    assert "it is made again" in caplog.text


def test_processes_may_prepare_at_once(tiny):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: prepare(tiny()), range(4)))

    assert len({each.fingerprint for each in results}) == 1
    assert len(list(cache_folder().glob("rows/*"))) == 2
    assert not list(cache_folder().rglob(".*")), "no temporary folder is left"


@pytest.mark.parametrize("text", ["", "a"])
def test_corpora_of_nothing_or_one_byte(tiny, corpus, text):
    corpus.write_text(text)

    with pytest.raises(DataError, match="two rows or characters at least"):
        prepare(tiny())


def test_a_corpus_shorter_than_the_context(tiny, corpus):
    corpus.write_text("a" * 17)

    with pytest.raises(DataError, match=r"has 15 tokens, fewer than diffusion.length = 16"):
        prepare(tiny("diffusion.packing=stream"))
    assert 16 == len(prepare(tiny()).train.ids), "a short document is one"


FULL_DISK = """
import resource, signal, sys
from aios_core.config import load
from aios_core.errors import DataError, TokenizerError
from aios_core.training.data import prepare

resolved = load(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that write() fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    prepare(resolved)
except DataError as error:
    print(error)
"""


def test_a_full_disk_is_told_and_leaves_nothing(tiny, corpus, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(
        f'dataset = {{type = "file", path = "{corpus.name}"}}\ntokenizer = {{type = "bytes"}}\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, config], capture_output=True, text=True, check=True
    )

    assert "tokens cannot be kept here" in done.stdout
    assert os.strerror(errno.EFBIG) in done.stdout
    assert "AIOS_CACHE names another folder" in done.stdout
    assert not list((cache_folder() / "rows").iterdir())


def test_where_the_cache_is(monkeypatch):
    assert cache_folder().name == "cache"
    monkeypatch.delenv("AIOS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/aios")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "aios"


def test_tokenizers_share_no_tokens_of_a_text(tiny, corpus):
    """Neither of a split nor of a whole file: each reads the ids that it made itself."""
    pairs = [("tokenizer.type=bytes",), ("tokenizer.type=bpe", "tokenizer.vocab_size=270")]
    text = corpus.read_text()
    for part, right in (("whole", text), ("train", None)):
        results = [
            (Corpus(resolved := tiny(*words), whole=part == "whole"), prepare(resolved).tokenizer)
            for words in pairs
        ]
        made = [tokens_of(*(on[0], part, on[1]), Framing(16, documents=False)) for on in results]
        texts = [on[1].decode(each.ids) for on, each in zip(results, made, strict=True)]

        assert texts[0] == texts[1] == (right or texts[0])
        assert text.startswith(texts[0])
        assert 2 == len({each.fingerprint for each in made})
        assert made[0].ids.tolist() != made[1].ids.tolist()


def test_a_digest_is_kept_only_where_a_later_change_would_show():
    """A clock of whole seconds may stand for two of them, any other for a tenth."""
    began = 10 * 10**9
    for times, settled in {
        (9_899_999_999,): True,
        (9_900_000_001,): False,
        (7_000_000_000,): True,
        (9_000_000_000,): False,
        (8_000_000_000,): False,
        (11_000_000_001,): False,
        (7_000_000_000, 9_899_999_999): True,
        (7_000_000_000, 9_950_000_001): False,
        (): True,
    }.items():
        files = [["name", 1, changed, 0, 0, 0] for changed in times]
        assert settled == _settled({"facts": {}, "files": files}, began), times


def test_splits_are_parted_at_nine_tenths_of_the_characters(tiny, corpus):
    """And counted in bytes; the whole is both."""
    text = "\u00e4b" * 50
    corpus.write_text(text, encoding="utf-8")
    result = Corpus(tiny())

    assert {"train": text[:90], "validation": text[90:]} == {
        split: "".join(result.texts(split)) for split in SPLITS
    }
    assert [135, 15] == [content.num_bytes for content in result.contents.values()]
    assert 150 == Corpus(tiny(), whole=True).contents["whole"].num_bytes


@pytest.mark.parametrize("when", ["before", "while it is read", "just now"])
def test_a_digest_of_what_may_be_gone_is_not_kept(tiny, corpus, monkeypatch, when):
    """Only of a file that was as it is for a while, and is still after it was read."""
    later = time.time() + 60  # however long this takes, it is not long ago
    os.utime(corpus, (later, later) if when == "just now" else (1, 1))

    def reading(dataset, name, **how):
        if when == "while it is read":
            os.utime(corpus, (2, 2))
        return Spool(dataset, name, **how)

    monkeypatch.setattr(corpora, "Spool", reading)
    prepare(tiny())

    assert (when == "before") == bool(list(cache_folder().glob("corpora/*.json")))


def test_a_test_split_changes_nothing_that_is_trained(tiny, tmp_path, opened):
    """And each of three files is read once."""
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.txt").write_text(f"{name} of these words. " * 30)
    files = [f"dataset.{key}={tmp_path / name}.txt" for key, name in
             (("path", "train"), ("validation", "validation"), ("test", "test"))]  # fmt: skip
    without, resolved = tiny(*files[:2]), tiny(*files)
    before, corpus = prepare(without), Corpus(resolved)
    opened.clear()
    prepared = prepare(resolved, corpus)

    data = before.fingerprint
    assert data == prepared.fingerprint
    assert training_key(without, data) == training_key(resolved, data)
    assert trial_key(without, data) == trial_key(resolved, data)
    assert ["train", "validation", "test"] == list(corpus.contents)
    assert 3 == sum(name.endswith(("train.txt", "validation.txt", "test.txt")) for name in opened)
    assert "test of these words. " * 30 == "".join(corpus.texts("test"))
    with pytest.raises(DataError, match="has no test split, but train and validation; "):
        before.corpus.check_has("test")
    (tmp_path / "test.txt").write_text("")
    with pytest.raises(DataError, match="the test split of the data set is empty"):
        prepare(resolved)


@pytest.fixture
def lowercase(tmp_path):
    """A file of a tokenizer that makes small letters of all."""
    Bpe(vocab_size=261, min_frequency=1).train(["aa"]).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"normalizer": {"type": "Lowercase"}})
    )
    return [f"tokenizer={{type='hf', file='{path}'}}"]


def test_tokens_know_whether_they_decode_to_the_text(tiny, tmp_path, lowercase):
    """Over the whole of the held-out split, document by document, and of nothing else."""
    for name, large in (("same", "X" * 10), ("other", "x" * 10 + "X")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "1.txt").write_text(large[:10] + "a" * 290)
        (folder / "2.txt").write_text("b" * 20)
        (folder / "3.txt").write_text("c" * 5 + large[10:])
        held_out = prepare(tiny(f"dataset.path={folder}/[123].txt", *lowercase)).held_out

        eos_id = held_out.rows.vocabulary.eos_id
        assert 3 == held_out.ids.tolist().count(eos_id), "three documents"
        assert (name == "same") == held_out.exact


def test_whether_tokens_decode_to_the_text_is_asked_once(tiny, corpus, lowercase, monkeypatch):
    """Also of tokens that an earlier version made; and of all texts, in place of the held-out."""
    corpus.write_text(corpus.read_text() + "Milk")
    first = prepare(tiny(*lowercase))
    monkeypatch.setattr(TrainedHf, "decode", lambda *_: pytest.fail("asked again"))
    again = prepare(tiny(*lowercase))

    assert first.held_out.exact is again.held_out.exact is False
    monkeypatch.undo()
    framing = first.train.framing
    whole = Corpus(tiny(*lowercase), whole=True)
    assert not tokens_of(whole, "whole", first.tokenizer, framing).exact
    plain = prepare(tiny())
    assert plain.held_out.exact
    assert tokens_of(whole, "whole", plain.tokenizer, framing).exact


def test_texts_that_cannot_be_decoded_count_as_lost(tiny, monkeypatch):
    def refuse(*_):
        raise TokenizerError("too much")

    monkeypatch.setattr(TrainedBytes, "decode", refuse)

    assert not prepare(tiny()).held_out.exact
