"""Byte-level BPE, trained and applied in Rust."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aios_core.contracts import Texts, Tokenizer, Vocabulary
from aios_plugins._native import fast_tokenizer
from aios_plugins.tokenizers._engine import FILE, EngineTokenizer, engine_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@frozen
class TrainedBpe(EngineTokenizer):
    """The special tokens come first, then the bytes, then what was merged.

    What it saves is also a file for `Hf`, whose engine gives offsets, streams and mapped files too.
    """

    engine: fast_tokenizer.Bpe

    @property
    def vocabulary(self) -> Vocabulary:
        """As many tokens as were asked for."""
        return Vocabulary(size=self.engine.vocab_size, mask_id=0, pad_id=1, bos_id=2, eos_id=3)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids after all merges that apply, in the order in which they were learned."""
        with engine_errors():
            return self.engine.encode(text)

    def encode_each(self, texts: Texts) -> list[NDArray[np.int32]]:
        """Ids of several texts, strings or an Arrow array of them; long ones on several threads."""
        with engine_errors():
            return self.engine.encode_batch(texts)

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
        with engine_errors():
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
    file: Path | None = None
    """The ``tokenizer.json`` of another run (in its folder ``tokenizer``), which is taken as it is;
    the size is then its own. Unset: the tokenizer is learned from the texts."""

    def train(
        self, texts: Iterable[str] | Texts, progress: Callable[[int], object] | None = None
    ) -> TrainedBpe:
        """Count the words of all texts, then merge pairs until the vocabulary is full.

        With a `file`, nothing is read of the texts.

        Args:
            texts: an iterable of texts, or an Arrow array of them.
            progress: called from time to time with the number of tokens.

        Raises:
            TokenizerError: the texts hold too little for `vocab_size`, or the file is damaged, of
                another kind, or not there.
        """
        if self.file is not None:
            return self._read(self.file)
        with engine_errors():
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
        return self._read(folder / FILE)

    def _read(self, path: Path) -> TrainedBpe:
        with engine_errors():
            return TrainedBpe(fast_tokenizer.Bpe.load(path))
