"""What the tokenizers on our compiled engine share."""

from __future__ import annotations

import hashlib
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

from aios_core.contracts import Padding, Texts, TrainedTokenizer, tokenizer_errors
from aios_plugins._native import fast_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

FILE: Final = "tokenizer.json"
"""Name of the file in the folder of a saved tokenizer, as Hugging Face tokenizers have it."""

engine_errors: Final = partial(tokenizer_errors, fast_tokenizer.FastTokenizerError)
"""Turn the engine's errors into ours."""


class EngineTokenizer(TrainedTokenizer):
    """A tokenizer that is one ``tokenizer.json``, applied in Rust."""

    engine: fast_tokenizer.Bpe | fast_tokenizer.Tokenizer
    source: Path | None = None
    """The file that a configuration names, for messages."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of `identity`."""
        return hashlib.sha256(self.identity().encode()).hexdigest()

    def identity(self) -> str:
        """All that ids depend on: the version of the Unicode tables, and the file."""
        return f"{fast_tokenizer.UNICODE_VERSION}\n{self.engine.to_json()}"

    def encode_batch(
        self, texts: Texts, padding: Padding = Padding()
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Ids and mask, laid out without the GIL."""
        around = padding.around(self.vocabulary)
        with engine_errors(where=self.source):
            return self.engine.encode_padded(texts, padding, self.vocabulary.pad_id, *around)
