"""Other tokenizers behind the calls that are measured, and one in plain Python.

Each is made from a ``tokenizer.json``, gives `encode(text)`, `batch(texts, threads)` and
`decode(ids)` in its own shapes, and may have ids that are less by `shift` than the file's.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aios_plugins._native import fast_tokenizer

if TYPE_CHECKING:
    import numpy as np

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def pattern(file: Path) -> str:
    """The regular expression that cuts, one of the two."""
    return GPT2 if json.loads(file.read_text())["pre_tokenizer"]["type"] == "ByteLevel" else CL100K


class Gigatoken:
    """The fastest that there was."""

    megabytes = 30.0
    shift = 0

    def __init__(self, file: Path) -> None:
        import gigatoken

        self.tokenizer = gigatoken.Tokenizer(str(file))

    def encode(self, text: str) -> Any:
        return self.tokenizer.encode(text)

    def batch(self, texts: Sequence[str], threads: int) -> Any:
        return self.tokenizer.encode_batch(texts, parallel=threads > 1)

    def decode(self, ids: np.ndarray) -> Any:
        return self.tokenizer.decode(ids)


class Tokenizers:
    """The reference for ids."""

    megabytes = 2.0
    shift = 0

    def __init__(self, file: Path) -> None:
        import tokenizers

        self.tokenizer = tokenizers.Tokenizer.from_file(str(file))

    def encode(self, text: str) -> Any:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def batch(self, texts: Sequence[str], threads: int) -> Any:
        os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
        return self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)

    def decode(self, ids: np.ndarray) -> Any:
        return self.tokenizer.decode(ids.tolist(), skip_special_tokens=False)


class Tiktoken:
    """The same vocabulary as ranks, which is sound where merges are in the order of ids."""

    megabytes = 8.0
    shift = len(fast_tokenizer.SPECIAL_TOKENS)  # they come first in the file, and ranks have none

    def __init__(self, file: Path) -> None:
        import tiktoken

        own = fast_tokenizer.Tokenizer(file.read_text())
        ranks = {own.token(i): i - self.shift for i in range(self.shift, own.vocab_size)}
        self.tokenizer = tiktoken.Encoding(
            "bench", pat_str=pattern(file), mergeable_ranks=ranks, special_tokens={}
        )

    def encode(self, text: str) -> Any:
        return self.tokenizer.encode_to_numpy(text, disallowed_special=())

    def batch(self, texts: Sequence[str], threads: int) -> Any:
        return self.tokenizer.encode_ordinary_batch(texts, num_threads=threads)

    def decode(self, ids: np.ndarray) -> Any:
        return self.tokenizer.decode_bytes(ids.tolist())


class Python:
    """Byte-level BPE as a textbook has it: cut, then merge the pair that was learned first."""

    megabytes = 0.3
    shift = 0

    def __init__(self, file: Path) -> None:
        import regex

        model = json.loads(file.read_text())["model"]
        self.ids: dict[str, int] = model["vocab"]
        self.tokens = {i: token for token, i in self.ids.items()}
        self.ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self.cut = regex.compile(pattern(file))
        # GPT-2's alphabet: visible bytes are themselves, the others are numbered from 256 on.
        visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
        hidden = [byte for byte in range(256) if byte not in visible]
        self.letters = {byte: chr(byte) for byte in visible}
        self.letters |= {byte: chr(256 + i) for i, byte in enumerate(hidden)}
        self.bytes = {letter: byte for byte, letter in self.letters.items()}

    def merge(self, piece: str) -> list[int]:
        parts = [self.letters[byte] for byte in piece.encode()]
        while len(parts) > 1:
            pairs = list(pairwise(parts))
            best = min(pairs, key=lambda pair: self.ranks.get(pair, math.inf))
            if best not in self.ranks:
                break
            merged, i = [], 0
            while i < len(parts):
                step = 2 if tuple(parts[i : i + 2]) == best else 1
                merged.append("".join(parts[i : i + step]))
                i += step
            parts = merged
        return [self.ids[part] for part in parts]

    def encode(self, text: str) -> Any:
        return [i for piece in self.cut.findall(text) for i in self.merge(piece)]

    def batch(self, texts: Sequence[str], threads: int) -> Any:
        return [self.encode(text) for text in texts]

    def decode(self, ids: np.ndarray) -> Any:
        spelled = "".join(self.tokens[i] for i in ids.tolist())
        return bytes(self.bytes[letter] for letter in spelled).decode(errors="replace")


class CachedPython(Python):
    """The same, which remembers every piece that it has met."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.merge = cache(self.merge)


PEERS = {
    "gigatoken": Gigatoken,
    "tiktoken": Tiktoken,
    "tokenizers": Tokenizers,
    "python": Python,
    "python-cached": CachedPython,
}
