"""A tokenizer: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core import contracts
from aios_core.errors import TokenizerError

AIOS_API = 1


_FILE, _CONTENT = "utf-8.txt", b"tokens are bytes of UTF-8"
_SPECIAL = ("<mask>", "<pad>", "<bos>", "<eos>")


class _Trained(contracts.TrainedTokenizer):
    vocabulary = contracts.Vocabulary(260, mask_id=256, pad_id=257, bos_id=258, eos_id=259)
    fingerprint = "utf-8"

    def encode(self, text):
        """(n,) int32."""
        import numpy as np

        try:
            return np.frombuffer(text.encode(), np.uint8).astype(np.int32)
        except UnicodeEncodeError as error:
            raise TokenizerError(f"the text holds a lone surrogate at {error.start}") from error

    def decode(self, ids):
        """Text; special tokens are left out."""
        return bytes(i for i in self.vocabulary.check(ids).tolist() if i < 256).decode(
            errors="replace"
        )

    def token(self, token_id):
        """One token, to be read by people."""
        return _SPECIAL[token_id - 256] if token_id >= 256 else repr(bytes([token_id]))

    def token_bytes(self, token_id):
        """What a token adds to a text."""
        return bytes([token_id]) if token_id < 256 else b""

    def save(self, folder):
        """Write what load reads."""
        try:
            (folder / _FILE).write_bytes(_CONTENT)
        except OSError as error:
            raise TokenizerError(f"cannot write {folder / _FILE}: {error}") from error


@frozen
class Utf8(contracts.Tokenizer):
    """One token a byte of UTF-8; there is nothing to learn."""

    def train(self, texts):
        """Ready as it is."""
        return _Trained()

    def load(self, folder):
        """Read what was saved; a folder may come from anywhere, so nothing in it is believed."""
        try:
            with (folder / _FILE).open("rb") as file:
                content = file.read(len(_CONTENT) + 1)
        except OSError as error:
            raise TokenizerError(f"cannot read {folder / _FILE}: {error}") from error
        if content != _CONTENT:
            raise TokenizerError(f"{folder / _FILE} is not what was saved; expected {_CONTENT!r}")
        return _Trained()


@aios_core.hookimpl
def aios_tokenizers():
    """Names, and the classes they stand for."""
    return {"utf8": Utf8}
