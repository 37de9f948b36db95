"""Texts that are promised to satisfy a language, by tokenizers of every decoder."""

import json
import random
import re

import attrs
import jsonschema
import numpy as np
import pytest

from aios_core.contracts import TrainedTokenizer, Vocabulary
from aios_core.diffusion.model import Model
from aios_core.errors import InferenceError, TokenizerError
from aios_core.inference import ArrowEngine
from aios_core.inference.progress import Progress
from aios_core.inference.prompts import PromptRow
from aios_plugins.tokenizers.bytes import TrainedBytes
from aios_plugins.tokenizers.hf import Hf

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "boolean"}},
    "required": ["a"],
    "additionalProperties": False,
}

LETTERS = [*'abcdeflnrstu0123{}":,[] ', '{"a":true}', '{"a":', "true", "false", "ab", "}"]
NAMES = dict.fromkeys(
    [
        "[UNK]",
        *LETTERS,
        *(f"##{letter}" for letter in LETTERS),
        *(f"▁{letter}" for letter in LETTERS),
        *("<0xE4>", "<0xB8>", "<0xAD>", "<0x41>", "<0x20>", "<0x61>", "<0x+A>"),
        *("a</w>", "b</w>", "a</w>b", "</w>", "|", "<pad>", "▁", "▁▁a", "##", "Ġ", "Ġa", "Ċ", "ä"),
        *(" .", "n't", " do not", "  a", "é", "中", "Ã", "©"),
    ]
)


def replace(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


def sequence(*decoders):
    return {"type": "Sequence", "decoders": list(decoders)}


BLANKS = replace({"String": "▁"}, " ")
BYTES, FUSE = {"type": "ByteFallback"}, {"type": "Fuse"}
LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}


def strip(start, stop=0, content=" "):
    return {"type": "Strip", "content": content, "start": start, "stop": stop}


def wordpiece(*, cleanup):
    return {"type": "WordPiece", "prefix": "##", "cleanup": cleanup}


def metaspace(scheme):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}


def ctc(*, cleanup):
    pad, word = "<pad>", "|"
    return {"type": "CTC", "pad_token": pad, "word_delimiter_token": word, "cleanup": cleanup}


DECODERS = {
    "none": None,
    "ByteLevel": LEVEL,
    "WordPiece": wordpiece(cleanup=False),
    "WordPiece clean": wordpiece(cleanup=True),
    "Metaspace": metaspace("always"),
    "Metaspace never": metaspace("never"),
    "BPEDecoder": {"type": "BPEDecoder", "suffix": "</w>"},
    "CTC": ctc(cleanup=False),
    "CTC clean": ctc(cleanup=True),
    "Replace": BLANKS,
    "Replace regex": replace({"Regex": "^[▁#]+"}, ""),
    "Strip": strip(1),
    "Strip both": strip(2, 1, "s"),
    "ByteFallback": BYTES,
    "Fuse": FUSE,
    "Llama 2": sequence(BLANKS, BYTES, FUSE, strip(1)),
    "Gemma": sequence(BLANKS, BYTES, FUSE),
    "three blanks": sequence(BLANKS, FUSE, strip(3)),
    "words and ends": sequence(wordpiece(cleanup=True), {"type": "BPEDecoder", "suffix": "</w>"}),
    "all at once": sequence(sequence(BLANKS, metaspace("first")), BYTES, sequence(FUSE, strip(2))),
}

REFUSED = {
    "Replace": sequence(FUSE, BLANKS),
    "Strip": sequence(FUSE, strip(0, 1)),
    "WordPiece": sequence(FUSE, wordpiece(cleanup=True)),
    "CTC": sequence(BLANKS, ctc(cleanup=True)),
    "BPEDecoder": sequence(ctc(cleanup=True), {"type": "BPEDecoder", "suffix": "</w>"}),
    "ByteLevel": sequence(BYTES, LEVEL),
    "Metaspace": sequence(LEVEL, metaspace("always")),
    "ByteFallback": sequence(FUSE, BYTES),
}


def tokenizer(folder, decoder):
    """Words of one vocabulary, which are decoded in many ways."""
    path = folder / "tokenizer.json"
    path.write_text(
        json.dumps(
            {
                "version": "1.0",
                "truncation": None,
                "padding": None,
                "added_tokens": [],
                "normalizer": None,
                "pre_tokenizer": None,
                "post_processor": None,
                "decoder": decoder,
                "model": {
                    "type": "WordLevel",
                    "vocab": {name: i for i, name in enumerate(NAMES)},
                    "unk_token": "[UNK]",
                },
            }
        )
    )
    return Hf(file=path).train([])


def with_tokenizer(engine, made):
    """The run's models as they would be with another tokenizer, untrained."""
    models = {}
    for mode, loaded in engine.models.items():
        model = Model.build(loaded.resolved.config, made.vocabulary).eval()
        models[mode] = attrs.evolve(loaded, model=model, tokenizer=made)
    return ArrowEngine(models)


def test_every_decoder_of_the_library_is_tried():
    decoders = pytest.importorskip("tokenizers").decoders
    known = {name for name, each in vars(decoders).items() if isinstance(each, type)}
    tried = json.dumps([*DECODERS.values(), *REFUSED.values()])

    assert 10 <= len(known)
    for name in known - {"Decoder", "DecodeStream"}:
        assert f'"type": "{name}"' in tried, name


@pytest.mark.parametrize("name", DECODERS)
def test_a_spelling_says_what_is_decoded(name, tmp_path):
    """Fault T2: of any ids, whatever they mean together."""
    made = tokenizer(tmp_path, DECODERS[name])
    spelling, draw, seen = made.spelling(), random.Random(name), 0
    for length in (0, 1, 1, 1, 2, 2, 3, 3, 4, 5, 8) * 150:
        ids = [draw.randrange(len(NAMES)) for _ in range(length)]
        if length > 2 and draw.random() < 0.5:
            ids[1] = ids[0]
        output = spelling.spell(ids)
        try:
            text = None if output is None else output.decode()
        except UnicodeDecodeError:
            continue
        if text is not None and ids:
            seen += 1
            assert text == made.decode(ids), ids

    assert 800 < seen
    assert made.spelling().spell([made.vocabulary.mask_id]) is None


@pytest.mark.parametrize("name", DECODERS)
def test_what_is_decoded_obeys(name, tmp_path, engine):
    """Fault T2: by diffusion and from left to right, behind prompts, streamed, and in gaps."""
    own = with_tokenizer(engine, tokenizer(tmp_path, DECODERS[name]))
    for mode in ("diffusion", "ar"):
        options = {"mode": mode, "regex": "[a-z]+", "num_return_sequences": 4, "seed": 3}
        for prompt in ("", "ab"):
            for text in own.generate(prompt, **options).completions:
                assert re.fullmatch("[a-z]+", text), text
        documents = own.generate("a", mode=mode, json_schema=SCHEMA, max_new_tokens=20, seed=1)
        jsonschema.validate(json.loads(documents.completions[0]), SCHEMA)
        *updates, last = own.stream("b", mode=mode, regex="[a-zé中]+", seed=5)
        output = "".join(update.deltas[0] for update in (*updates, last))
        assert re.fullmatch("[a-zé中]+", output), output
        assert last.output.completions[0] == output
    for text in own.infill("a<mask:6>b", regex="[a-z 中]+", num_return_sequences=4).texts:
        assert re.fullmatch("[a-z 中]+", text), text


def test_a_stream_tells_nothing_twice(tmp_path):
    """Fault T2: bytes that make a text only with those that follow are given when they do."""
    made = tokenizer(tmp_path, DECODERS["Gemma"])
    ids = [list(NAMES).index(f"<0x{byte:02X}>") for byte in "中中".encode()]
    mask = made.vocabulary.mask_id
    progress = Progress("ar", made, [PromptRow((mask,) * 6, (False,) * 6)], [0], None)
    rows = [[*ids[:known], *[mask] * (6 - known)] for known in range(7)]
    deltas = [progress.update(0, 0, [row], [[False] * 6]).deltas[0] for row in rows]

    assert ["", "", "", "中", "", "", "中"] == deltas


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_promised_is_refused_before_any_work(name, tmp_path, engine):
    """Fault T2: a decoder that looks at a whole text."""
    own = with_tokenizer(engine, tokenizer(tmp_path, REFUSED[name]))
    calls = []
    for model in own.models.values():
        model.model.register_forward_pre_hook(lambda *_: calls.append(1))
    for mode in ("diffusion", "ar"):
        with pytest.raises(TokenizerError, match=rf"decoder: {name} as step [12] looks at more"):
            own.generate("a", mode=mode, regex="[a-z]+")
        with pytest.raises(TokenizerError, match=f"decoder: {name}"):
            own.generate("a", mode=mode, json_schema=SCHEMA)

    assert [] == calls
    assert own.generate("a", max_new_tokens=3).texts


class Spaced(TrainedTokenizer):
    """Somebody's tokenizer of words, which says nothing of what tokens add."""

    vocabulary = Vocabulary(size=7, mask_id=3, pad_id=4, bos_id=5, eos_id=6)
    fingerprint = "spaced"
    words = ("red", "green", "blue")

    def encode(self, text):
        return np.array([self.words.index(word) for word in text.split()], dtype=np.int32)

    def decode(self, ids):
        return " ".join(self.words[i] for i in self.vocabulary.check(ids) if i < 3)

    def token(self, token_id):
        return [*self.words, "<mask>", "<pad>", "<bos>", "<eos>"][token_id]

    def save(self, folder):
        """There is nothing to save."""


def test_no_tokenizer_is_taken_to_join_its_tokens(engine):
    """Fault T2: that decoding one by one is decoding together is looked at, not believed."""
    own = with_tokenizer(engine, Spaced())
    with pytest.raises(TokenizerError, match=r"Spaced: ids \[0, 0\] decode to 'red red'"):
        own.generate("red", regex="[a-z ]+")

    class Joined(Spaced):
        def decode(self, ids):
            return super().decode(ids).replace(" ", "")

    text = with_tokenizer(engine, Joined()).generate("red", regex="(redblue)+").completions[0]
    assert re.fullmatch("(redblue)+", text)


def test_a_spelling_that_lies_is_noticed(engine):
    """Fault T2: no text that breaks the promise is given to anybody."""

    class Loud(TrainedBytes):
        def decode(self, ids):
            return super().decode(ids).upper()

    with pytest.raises(InferenceError, match=r"Loud decodes its tokens to '[A-Z]+', which is not"):
        with_tokenizer(engine, Loud()).generate("x", regex="[a-z]+")
