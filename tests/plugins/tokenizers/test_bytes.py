"""The byte tokenizer."""

import numpy as np

from aios_plugins.tokenizers.bytes import Bytes


def test_a_token_is_a_byte():
    tokenizer = Bytes().train([])

    assert list("aé".encode()) == tokenizer.encode("aé").tolist()
    assert ["a", "\\xc3", "<mask>", "<eos>"] == [tokenizer.token(i) for i in (97, 195, 256, 259)]


def test_parts_of_characters_become_replacement_characters():
    tokenizer = Bytes().train([])

    assert "\ufffda" == tokenizer.decode([0xC3, 97])
    assert "" == tokenizer.decode(np.array([], dtype=np.int64))


def test_a_token_adds_its_byte_and_a_special_one_nothing():
    """By which texts are constrained."""
    tokenizer = Bytes().train([])

    assert [bytes([i]) for i in range(256)] == [tokenizer.token_bytes(i) for i in range(256)]
    assert [b""] * 4 == [tokenizer.token_bytes(i) for i in range(256, 260)]
