"""The tokenizer that has nothing to learn: a token is a byte of UTF-8."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from attrs import frozen

from aios_core.contracts import Tokenizer, TrainedTokenizer, Vocabulary, tokenizer_errors
from aios_core.errors import TokenizerError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE: Final = "bytes.json"
"""Name of the file in the folder of a saved tokenizer."""

SPECIAL_TOKENS: Final = ("<mask>", "<pad>", "<bos>", "<eos>")

# What the file holds. All byte tokenizers are alike, so it only says that this is one.
DOCUMENT: Final = json.dumps({"type": "bytes", "special_tokens": SPECIAL_TOKENS}).encode()


@frozen
class TrainedBytes(TrainedTokenizer):
    """Byte b is id b; the special tokens follow."""

    @property
    def vocabulary(self) -> Vocabulary:
        """260 tokens."""
        return Vocabulary(size=260, mask_id=256, pad_id=257, bos_id=258, eos_id=259)

    @property
    def fingerprint(self) -> str:
        """The same for every byte tokenizer."""
        return hashlib.sha256(DOCUMENT).hexdigest()

    def encode(self, text: str) -> NDArray[np.int32]:
        """Bytes of the text as UTF-8."""
        with tokenizer_errors():
            data = text.encode()
        return np.frombuffer(data, dtype=np.uint8).astype(np.int32)

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """Text of the bytes among the ids."""
        checked = self.vocabulary.check(ids)
        return checked[checked < 256].astype(np.uint8).tobytes().decode(errors="replace")

    def token(self, token_id: int) -> str:
        r"""An ASCII character, ``\x..`` for any other byte, or the name of a special token."""
        (checked,) = self.vocabulary.check([token_id])
        if checked >= 256:
            return SPECIAL_TOKENS[checked - 256]
        return bytes([checked]).decode(errors="backslashreplace")

    def token_bytes(self, token_id: int) -> bytes:
        """The byte."""
        (checked,) = self.vocabulary.check([token_id])
        return bytes([checked]) if checked < 256 else b""

    def save(self, folder: Path) -> None:
        """Write ``bytes.json``."""
        try:
            (folder / FILE).write_bytes(DOCUMENT)
        except OSError as error:
            raise TokenizerError(f"{folder / FILE}: {error.strerror}") from error


@frozen
class Bytes(Tokenizer):
    """Every byte of UTF-8 is a token: 256 of them and the special ones, nothing to train."""

    def train(self, texts: Iterable[str]) -> TrainedBytes:
        """Ready as it is; the texts are not read."""
        return TrainedBytes()

    def load(self, folder: Path) -> TrainedBytes:
        """Check that a byte tokenizer was saved there."""
        path = folder / FILE
        try:
            with path.open("rb") as file:
                content = file.read(len(DOCUMENT) + 1)
        except OSError as error:
            raise TokenizerError(f"{path}: {error.strerror}") from error
        if content != DOCUMENT:
            shown = content.decode(errors="replace")
            raise TokenizerError(f"{path}: expected {DOCUMENT.decode()!r}, got {shown!r}")
        return TrainedBytes()
