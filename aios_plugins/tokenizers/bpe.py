"""Byte-level BPE, trained and applied in Rust."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import field, frozen, validators

from aios_core.contracts import (
    Padding,
    Texts,
    Tokenizer,
    TrainedTokenizer,
    Vocabulary,
    tokenizer_errors,
)
from aios_plugins._native import fast_tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE: Final = "tokenizer.json"
"""Name of the file in the folder of a saved tokenizer, which Hugging Face tokenizers read too."""


_explained: Final = partial(tokenizer_errors, fast_tokenizer.FastTokenizerError)
"""Turn the engine's errors into ours."""


@frozen
class TrainedBpe(TrainedTokenizer):
    """The special tokens come first, then the bytes, then what was merged.

    What it saves is also a file for `Hf`, whose engine gives offsets, streams and mapped files too.
    """

    engine: fast_tokenizer.Bpe

    @property
    def vocabulary(self) -> Vocabulary:
        """As many tokens as were asked for."""
        return Vocabulary(size=self.engine.vocab_size, mask_id=0, pad_id=1, bos_id=2, eos_id=3)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file that `save` writes and of the version of the Unicode tables."""
        text = f"{fast_tokenizer.UNICODE_VERSION}\n{self.engine.to_json()}"
        return hashlib.sha256(text.encode()).hexdigest()

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids after all merges that apply, in the order in which they were learned."""
        with _explained():
            return self.engine.encode(text)

    def encode_each(self, texts: Texts) -> list[NDArray[np.int32]]:
        """Ids of several texts, strings or an Arrow array of them; long ones on several threads."""
        with _explained():
            return self.engine.encode_batch(texts)

    def encode_batch(
        self, texts: Texts, padding: Padding = Padding()
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Ids and mask, laid out without the GIL."""
        around = padding.around(self.vocabulary)
        with _explained():
            return self.engine.encode_padded(texts, padding, self.vocabulary.pad_id, *around)

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """Text of the bytes of all tokens that are not special."""
        return self.engine.decode(self.vocabulary.check(ids))

    def token(self, token_id: int) -> str:
        r"""Characters of the token; ``\x..`` for bytes that are only a part of one."""
        (checked,) = self.vocabulary.check([token_id])
        return self.engine.token(checked).decode(errors="backslashreplace")

    def token_bytes(self, token_id: int) -> bytes:
        """Bytes of the token."""
        (checked,) = self.vocabulary.check([token_id])
        special = checked in self.vocabulary.special_ids
        return b"" if special else self.engine.token(checked)

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json``."""
        with _explained():
            self.engine.save(folder / FILE)


@frozen
class Bpe(Tokenizer):
    """Byte-level BPE: every byte is a token, and so are the most frequent pairs of tokens.

    Words are cut as GPT-2 cuts them, and pairs merged only within words.
    """

    vocab_size: int = field(
        default=1024,
        validator=[
            validators.ge(fast_tokenizer.MIN_VOCAB),
            validators.le(fast_tokenizer.MAX_VOCAB),
        ],
    )
    """V, the 256 bytes and the four special tokens included."""
    min_frequency: int = field(default=2, validator=[validators.ge(1), validators.lt(2**31)])
    """Fewest occurrences in the texts of a pair that becomes a token."""

    def train(
        self, texts: Iterable[str] | Texts, progress: Callable[[int], object] | None = None
    ) -> TrainedBpe:
        """Count the words of all texts, then merge pairs until the vocabulary is full.

        Args:
            texts: an iterable of texts, or an Arrow array of them.
            progress: is told from time to time how many tokens there are.

        Raises:
            TokenizerError: the texts hold too little for `vocab_size`.
        """
        with _explained():
            return TrainedBpe(
                fast_tokenizer.Bpe.train(
                    texts,
                    vocab_size=self.vocab_size,
                    min_frequency=self.min_frequency,
                    progress=progress,
                )
            )

    def load(self, folder: Path) -> TrainedBpe:
        """Read ``tokenizer.json``, which must be as `TrainedBpe.save` writes it."""
        with _explained():
            return TrainedBpe(fast_tokenizer.Bpe.load(folder / FILE))
