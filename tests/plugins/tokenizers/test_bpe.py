"""The byte-level BPE tokenizer, and what it adds to the engine: errors and fields."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from aios_core.errors import TokenizerError
from aios_core.testing.contracts.tokenizer import TokenizerContract
from aios_plugins.tokenizers import bpe
from aios_plugins.tokenizers.bpe import Bpe, TrainedBpe

TEXTS = ["the thesis is that the thicker thief thinks", "then the <mask> thins the <mask>"]


class TestSmallest(TokenizerContract):
    component = Bpe(vocab_size=260)


def test_frequent_pairs_become_tokens():
    tokenizer = Bpe(vocab_size=263).train(TEXTS)

    assert 263 == tokenizer.vocabulary.size
    assert ["<mask>", "<eos>", "th"] == [tokenizer.token(i) for i in (0, 3, 260)]
    assert 260 in tokenizer.encode("thud")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be taken away")
def test_training_does_not_depend_on_threads_or_process():
    script = (
        "import os, sys; from aios_plugins.tokenizers.bpe import Bpe; "
        "from pydoc_data.topics import topics; "
        "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])]); "
        "print(Bpe(vocab_size=2000).train(topics.values()).fingerprint)"
    )
    fingerprints = {
        subprocess.run(
            [sys.executable, "-c", script, cores],  # as many threads as it may have cores
            env=os.environ | {"PYTHONHASHSEED": cores},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for cores in ("1", "2", "64")
    }

    assert 1 == len(fingerprints)


def test_threads_may_share_a_tokenizer():
    tokenizer = Bpe(vocab_size=270).train(TEXTS)
    texts = [f"{n} {TEXTS[n % 2]}" * 50 for n in range(64)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda text: tokenizer.decode(tokenizer.encode(text)), texts))

    assert texts == results


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is nothing to inherit")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_can_train_and_encode():
    tokenizer = Bpe(vocab_size=270).train(TEXTS)
    tokenizer.encode_each([TEXTS[0] * 10_000, TEXTS[1] * 10_000])
    child = os.fork()
    if child == 0:  # whatever happens here must not come back to pytest
        status = 1
        try:
            tokenizer.encode_each([TEXTS[0] * 10_000, TEXTS[1] * 10_000])
            status = int(Bpe(vocab_size=270).train(TEXTS).fingerprint != tokenizer.fingerprint)
        finally:
            os._exit(status)

    assert 0 == os.waitpid(child, 0)[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocab_size": 259}, "'vocab_size' must be >= 260"),
        ({"vocab_size": 2**19 + 1}, "'vocab_size' must be <= 524288"),
        ({"min_frequency": 0}, "'min_frequency' must be >= 1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Bpe(**settings)


@pytest.mark.parametrize("texts", [[], [""], ["a"], ["ab"] * 3])
def test_too_little_text_says_what_would_do(texts):
    with pytest.raises(TokenizerError, match=r"expected more text.*, got vocab_size 1024"):
        Bpe().train(texts)


def test_texts_that_are_not_text_are_refused():
    with pytest.raises(TokenizerError, match="surrogate"):
        Bpe().train(["a", "\udcff"])
    with pytest.raises(TypeError):
        Bpe().train([b"a"])


def test_an_error_of_the_texts_goes_through():
    def texts():
        yield "a"
        raise KeyError("b")

    with pytest.raises(KeyError, match="b"):
        Bpe().train(texts())


def test_a_hostile_file_is_named_with_the_entry(tmp_path):
    Bpe(vocab_size=270).train(TEXTS).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    document = json.loads(path.read_text())
    document["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": "(a+)+$"}}
    path.write_text(json.dumps(document))

    with pytest.raises(
        TokenizerError, match=r"tokenizer\.json: pre_tokenizer\.pattern: not an entry"
    ):
        Bpe().load(tmp_path)


def test_a_fingerprint_is_of_the_file_and_of_unicode(monkeypatch):
    """What cuts words changes with the tables of Unicode, and so do ids."""
    first, other = (Bpe(vocab_size=size).train(TEXTS) for size in (270, 271))
    again = TrainedBpe(first.engine).fingerprint

    assert first.fingerprint == again != other.fingerprint
    monkeypatch.setattr(bpe.fast_tokenizer, "UNICODE_VERSION", "1.0")
    assert again != TrainedBpe(first.engine).fingerprint


def test_special_tokens_have_no_bytes():
    tokenizer = Bpe(vocab_size=262).train(TEXTS)

    assert [b""] * 4 + [b"th"] == [tokenizer.token_bytes(i) for i in (0, 1, 2, 3, 260)]
    assert "th" == tokenizer.decode([2, 260, 0, 3])


def test_one_that_was_trained_before_is_taken_as_it_is(tmp_path):
    trained = Bpe(vocab_size=263).train(TEXTS)
    trained.save(tmp_path)
    again = Bpe(file=tmp_path / "tokenizer.json").train(iter(lambda: pytest.fail("was read"), 0))

    assert trained.fingerprint == again.fingerprint
    (tmp_path / "other").mkdir()
    again.save(tmp_path / "other")
    assert trained.fingerprint == Bpe().load(tmp_path / "other").fingerprint


@pytest.mark.parametrize(
    ("content", "message"), [(None, "tokenizer.json: No such file"), ("{}", "tokenizer.json: ")]
)
def test_a_file_that_is_none_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(TokenizerError, match=message):
        Bpe(file=tmp_path / "tokenizer.json").train([])
