"""What the compiled tokenizer promises besides ids: memory, threads, processes, pickles."""

import json
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from aios_core.contracts import Padding
from aios_core.errors import TokenizerError
from aios_plugins._native import fast_tokenizer
from aios_plugins.tokenizers.bpe import Bpe
from aios_plugins.tokenizers.hf import Hf, TrainedHf

TEXTS = ["the thesis is that the thicker thief thinks", "then the <mask> thins 香蕉 the <mask>", ""]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    Bpe(vocab_size=280, min_frequency=1).train(TEXTS * 2).save(folder)
    return folder / "tokenizer.json"


@pytest.fixture(scope="module", params=[True, False], ids=["engine", "tokenizers"])
def tokenizer(request, path):
    return fast_tokenizer.Tokenizer(path.read_text(), engine=request.param)


def test_files_are_texts(tokenizer, tmp_path):
    text = "the thesis 香蕉 <mask>\n" * 3000
    (tmp_path / "text").write_text(text)

    assert tokenizer.encode(text).tolist() == tokenizer.encode_file(tmp_path / "text").tolist()
    with pytest.raises(ValueError, match="No such file"):
        tokenizer.encode_file(tmp_path / "none")
    with pytest.raises(ValueError, match="regular file"):
        tokenizer.encode_file("/dev/zero")


def test_torch_takes_a_batch_without_a_copy(path):
    for trained in (Bpe().load(path.parent), Hf(file=path, engine=True).train([])):
        ids, mask = trained.encode_batch(TEXTS, Padding(pad_to_multiple_of=8, bos=True))
        taken = torch.from_numpy(ids)
        assert ids.ctypes.data == taken.data_ptr()
        assert (torch.int64, torch.bool) == (taken.dtype, torch.from_numpy(mask).dtype)
        assert 0 == ids.shape[1] % 8
        with pytest.raises(TokenizerError, match="do not fit into memory"):
            trained.encode_batch(TEXTS, Padding(max_length=1 << 60, padding="max_length"))


def test_offsets_are_where_the_tokens_are(tokenizer):
    text = "the 香蕉 <mask>thin é"
    ids, spans = tokenizer.encode_with_offsets(text, unit="bytes")
    assert (len(ids), 2) == spans.shape
    if tokenizer.backend == "engine":
        assert [tokenizer.token(i) for i in ids] == [text.encode()[a:b] for a, b in spans]
    _, characters = tokenizer.encode_with_offsets(text)
    assert all(0 <= a < b <= len(text) for a, b in characters)
    assert text == "".join(text[a:b] for a, b in dict.fromkeys(map(tuple, characters.tolist())))
    with pytest.raises(ValueError, match='unit: expected "bytes" or "characters", got "words"'):
        tokenizer.encode_with_offsets(text, unit="words")


def test_a_stream_never_tells_half_a_character(tokenizer):
    text = "the 香蕉 <mask>thin é 😀"
    stream = tokenizer.stream()
    parts = [stream.push(int(i)) for i in tokenizer.encode(text)]

    assert not any("\ufffd" in part for part in parts)
    assert text == "".join(parts) + stream.finish()
    assert "" == stream.push(int(tokenizer.encode("😀")[0]))
    assert "\ufffd" == stream.finish()


def test_pickles_hold_the_content(tokenizer, path):
    again = pickle.loads(pickle.dumps(tokenizer))
    assert tokenizer.backend == again.backend
    trained = Bpe().load(path.parent)
    other = pickle.loads(pickle.dumps(trained))
    for text in TEXTS:
        assert tokenizer.encode(text).tolist() == again.encode(text).tolist()
        assert trained.encode(text).tolist() == other.encode(text).tolist()


def test_pickles_of_files_hold_the_path(path, tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_text(path.read_text())
    for engine in (True, False):
        tokenizer = Hf(file=file, engine=engine).train([])
        pickled = pickle.dumps(tokenizer)
        again = pickle.loads(pickled)
        assert len(pickled) < 400
        assert tokenizer.backend == again.backend
        assert tokenizer.encode(TEXTS[1]).tolist() == again.encode(TEXTS[1]).tolist()

    content = pickle.dumps(TrainedHf(fast_tokenizer.Tokenizer(path.read_text())))
    file.write_text(path.read_text() + " ")
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: not the file that was pickled"):
        pickle.loads(pickled)
    file.unlink()
    with pytest.raises(TokenizerError, match="no such file"):
        pickle.loads(pickled)
    assert tokenizer.encode(TEXTS[1]).tolist() == pickle.loads(content).encode(TEXTS[1]).tolist()


def test_other_threads_run_meanwhile(path):
    tokenizer = fast_tokenizer.Tokenizer(path.read_text())
    text = TEXTS[0] * 100_000
    turns, seen = 0, []

    def encode():
        # Held, the lock would let nobody count in between, but for a rare switch before or after.
        while len(seen) < 100 and not (seen and seen[-1] > 0):
            before = turns
            tokenizer.encode(text)
            seen.append(turns - before)

    worker = threading.Thread(target=encode)
    worker.start()
    while worker.is_alive():
        turns += 1
    worker.join()

    assert 0 < seen[-1]


def test_threads_may_share_a_tokenizer(tokenizer):
    texts = [f"{n} {TEXTS[n % 2]}" * 50 for n in range(64)]
    expected = [tokenizer.encode(text).tolist() for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert expected == [ids.tolist() for ids in pool.map(tokenizer.encode, texts)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is nothing to inherit")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_forked_amid_encoding_can_encode(tokenizer):
    # The engine starts threads from 256 KiB on; the crate is far slower.
    times = 20_000 if tokenizer.backend == "engine" else 500
    texts = [TEXTS[0] * times, TEXTS[1] * times]
    expected = tokenizer.encode_batch(texts)[0]
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            tokenizer.encode_batch(texts)

    worker = threading.Thread(target=busy)
    worker.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:  # whatever happens here must not come back to pytest
                status = 1
                try:
                    status = int(not np.array_equal(expected, tokenizer.encode_batch(texts)[0]))
                finally:
                    os._exit(status)
            assert 0 == os.waitpid(child, 0)[1]
    finally:
        stop.set()
        worker.join()


def test_training_tells_how_far_it_is_and_can_be_stopped():
    texts = [f"{n} words {n * n}" for n in range(3000)]
    reports = []
    Bpe(vocab_size=1100).train(texts, reports.append)
    assert [512, 768, 1024, 1100] == reports

    def stop(tokens):
        raise KeyError(tokens)

    with pytest.raises(KeyError, match="512"):
        Bpe(vocab_size=1100).train(texts, stop)


@pytest.mark.parametrize("entry", ["pre_tokenizer", "normalizer"])
def test_a_pattern_that_backtracks_is_refused_and_named(path, tmp_path, entry):
    document = json.loads(path.read_text())
    kind = {"pre_tokenizer": "Split", "normalizer": "Replace"}[entry]
    document[entry] = {"type": kind, "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}
    document[entry] |= {"invert": False, "content": ""}
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))

    named = rf"tokenizer\.json: {entry}\.pattern\.Regex: expected a pattern without nested"
    with pytest.raises(TokenizerError, match=named):
        Hf(file=tmp_path / "tokenizer.json", engine=True).train([])


def test_a_pattern_that_backtracks_on_long_texts_is_stopped(path, tmp_path):
    document = json.loads(path.read_text())
    split = {"type": "Split", "pattern": {"Regex": "(?:wxyz|wxyz)+!"}, "behavior": "Isolated"}
    document["pre_tokenizer"] = split | {"invert": False}
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    tokenizer = Hf(file=tmp_path / "tokenizer.json").train([])

    with pytest.raises(TokenizerError, match=r"pre_tokenizer\.pattern\.Regex"):
        tokenizer.encode("wxyz" * 60)
    with pytest.raises(TokenizerError, match=r"pre_tokenizer\.pattern\.Regex"):
        tokenizer.encode_each(["a", "wxyz" * 60])
