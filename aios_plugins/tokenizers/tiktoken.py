"""Vocabularies of OpenAI's tiktoken, applied by tiktoken itself."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import field, frozen, validators

from aios_core import strict_json
from aios_core.contracts import Tokenizer, TrainedTokenizer, Vocabulary, tokenizer_errors
from aios_core.errors import MissingExtraError, TokenizerError
from aios_core.files import no_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE: Final = "tiktoken.json"
"""Name of the file in the folder of a saved tokenizer."""

SPECIAL_TOKENS: Final = ("<mask>", "<pad>", "<bos>", "<eos>")

MAX_FILE: Final = 1 << 27
"""Largest file that is read, in bytes; published ones are below a twentieth of it."""

GPT4: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@frozen
class TrainedTiktoken(TrainedTokenizer):
    """The encoding's ids, then mask, pad, bos and eos of our own, which no text encodes to."""

    encoding: Any
    """A `tiktoken.Encoding`."""
    parse_special: bool = False
    """Whether names of its special tokens in a text are these tokens."""
    source: str = ""
    """The name or the file that the configuration has, for messages."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The encoding's ids and four more."""
        size = self.encoding.n_vocab
        return Vocabulary(
            size=size + 4, mask_id=size, pad_id=size + 1, bos_id=size + 2, eos_id=size + 3
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file that `save` writes, how it is read, and the version of tiktoken."""
        text = f"{version('tiktoken')}\n{self._document}"
        if self.parse_special:
            text += "\nspecial tokens in a text are special"
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def _document(self) -> str:
        ranks = self.encoding._mergeable_ranks.items()  # noqa: SLF001  # it has no other door
        return json.dumps(
            {
                "name": self.encoding.name,
                "pattern": self.encoding._pat_str,  # noqa: SLF001
                "special_tokens": self.encoding._special_tokens,  # noqa: SLF001
                "ranks": {base64.b64encode(token).decode(): rank for token, rank in ranks},
            }
        )

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids of a text; names of the encoding's special tokens are text, unless asked for."""
        return self._encode(text, special=self.parse_special)

    def encode_control(self, text: str) -> NDArray[np.int32]:
        """Likewise, with names of the encoding's special tokens read as these tokens."""
        return self._encode(text, special=True)

    def _encode(self, text: str, *, special: bool) -> NDArray[np.int32]:
        allowed: Any = "all" if special else set()
        with tokenizer_errors():
            text.encode()
        try:
            ids: NDArray[np.uint32] = self.encoding.encode_to_numpy(
                text, allowed_special=allowed, disallowed_special=()
            )
        except ValueError as error:  # a pattern that backtracks for too long
            raise TokenizerError(f"{self._named}: {error}") from error
        return ids.view(np.int32)

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """Text of the encoding's ids, its own special tokens included."""
        checked = self.vocabulary.check(ids)
        known = checked[checked < self.encoding.n_vocab].tolist()
        try:
            text: str = self.encoding.decode(known, errors="replace")
        except KeyError as error:
            raise TokenizerError(
                f"{self._named}: {error.args[0]}; the encoding leaves a gap there"
            ) from error
        return text

    @property
    def _named(self) -> str:
        return self.source or f"tiktoken's {self.encoding.name}"

    def token(self, token_id: int) -> str:
        r"""The token as text; ``\x..`` for bytes that are only a part of a character."""
        (checked,) = self.vocabulary.check([token_id])
        special = int(checked) - self.encoding.n_vocab
        if special >= 0:
            return SPECIAL_TOKENS[special]
        return self.token_bytes(token_id).decode(errors="backslashreplace")

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of a token; nothing for a gap between ids."""
        (checked,) = self.vocabulary.check([token_id])
        if checked >= self.encoding.n_vocab:
            return b""
        try:
            token: bytes = self.encoding.decode_single_token_bytes(int(checked))
        except KeyError:
            return b""
        return token

    def save(self, folder: Path) -> None:
        """Write ranks, pattern and special tokens, so that loading needs no network."""
        try:
            (folder / FILE).write_text(self._document, encoding="utf-8")
        except OSError as error:
            raise TokenizerError(f"{folder / FILE}: {error.strerror}") from error


@frozen
class Tiktoken(Tokenizer):
    """An encoding of tiktoken: a published one by name, or a file of ranks."""

    encoding: str = field(validator=validators.min_len(1))
    """A name that tiktoken knows (``cl100k_base``, which it fetches once), or the path of a
    ``.tiktoken`` file; there is nothing to train."""
    pattern: str = field(default=GPT4, validator=validators.min_len(1))
    """The regular expression that cuts text, for a ``.tiktoken`` file, which does not say."""
    parse_special: bool = False
    """Whether the names of the encoding's special tokens in a text, as ``<|endoftext|>``, are these
    tokens and not text like any other: in data, prompts, memories and evidence alike."""

    def train(self, texts: Iterable[str]) -> TrainedTiktoken:
        """Get the encoding; the texts are not looked at."""
        library = _tiktoken()
        if self.encoding.endswith(".tiktoken"):
            path = Path(self.encoding)
            built = _build(path, path.stem, self.pattern, {}, _ranks(path))
            return TrainedTiktoken(built, self.parse_special, self.encoding)
        try:
            return TrainedTiktoken(library.get_encoding(self.encoding), self.parse_special)
        except Exception as error:  # of the network, in many ways, or of an unknown name
            known = ", ".join(library.list_encoding_names())
            raise TokenizerError(
                f"tiktoken cannot get {self.encoding!r}: {error}; expected one of {known}, or a "
                "path that ends in .tiktoken"
            ) from error

    def load(self, folder: Path) -> TrainedTiktoken:
        """Read what `TrainedTiktoken.save` wrote."""
        path = folder / FILE
        try:
            document = strict_json.loads(_read(path))
            ranks = {base64.b64decode(t, validate=True): r for t, r in document["ranks"].items()}
            name, pattern = str(document["name"]), str(document["pattern"])
            special = dict(document["special_tokens"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise TokenizerError(f"{path}: not as it was saved: {error!r}") from error
        source = self.encoding if self.encoding.endswith(".tiktoken") else ""
        built = _build(path, name, pattern, special, ranks)
        return TrainedTiktoken(built, self.parse_special, source)


def _tiktoken() -> Any:
    try:
        import tiktoken
    except ImportError as error:
        raise MissingExtraError("the tokenizer 'tiktoken'", "tiktoken", "tiktoken") from error
    return tiktoken


def _read(path: Path) -> str:
    if wrong := no_file(path):
        raise TokenizerError(f"{path}: {wrong}; expected a file of a tokenizer")
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE:
            raise TokenizerError(f"{path}: expected a regular file of at most {MAX_FILE} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TokenizerError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path}: {error}") from error


def _ranks(path: Path) -> dict[bytes, int]:
    """Token and rank of every line, the token in base 64."""
    ranks = {}
    for number, line in enumerate(_read(path).splitlines(), 1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except ValueError as error:
            raise TokenizerError(
                f"{path}:{number}: expected a token in base 64 and its rank, got {line[:60]!r}"
            ) from error
    return ranks


def _build(
    path: Path, name: str, pattern: str, special: dict[str, int], ranks: dict[bytes, int]
) -> Any:
    """A `tiktoken.Encoding`."""
    ids = [*ranks.values(), *special.values()]
    if any(type(i) is not int or not 0 <= i < 2**31 - 5 for i in ids) or len(set(ids)) < len(ids):
        raise TokenizerError(f"{path}: ranks: expected whole numbers from 0 on, each once")
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise TokenizerError(
            f"{path}: ranks: no token for byte {missing[0]:#04x}; expected all 256"
        )
    try:
        return _tiktoken().Encoding(
            name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special
        )
    except (ValueError, OverflowError) as error:
        raise TokenizerError(f"{path}: pattern: {error}") from error
