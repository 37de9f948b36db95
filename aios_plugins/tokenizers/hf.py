"""Any ``tokenizer.json``, whoever made it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen

from aios_core import strict_json
from aios_core.contracts import Spelling, SpellingContext, Texts, Tokenizer, Vocabulary
from aios_core.errors import TokenizerError
from aios_core.files import no_file
from aios_plugins._native import fast_tokenizer
from aios_plugins.tokenizers._chat import CONFIG, TEMPLATE, ChatTemplate, files_of
from aios_plugins.tokenizers._chat import read as read_chat
from aios_plugins.tokenizers._engine import FILE, EngineTokenizer, engine_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.contracts import Row

SPECIAL_TOKENS: Final = ("<mask>", "<pad>", "<bos>", "<eos>")

_MODEL: Final = frozenset(
    {
        "byte_fallback",
        "continuing_subword_prefix",
        "dropout",
        "end_of_word_suffix",
        "fuse_unk",
        "ignore_merges",
        "max_input_chars_per_word",
        "merges",
        "type",
        "unk_id",
        "unk_token",
        "vocab",
    }
)
"""The fields of BPE, WordPiece, WordLevel and Unigram that are read."""

MAX_FILE: Final = 1 << 27
"""Largest file that is read, in bytes; published ones are below a quarter of it."""


def read(
    path: Path, *, engine: bool, strict: bool = False, parse_special: bool = False
) -> fast_tokenizer.Tokenizer:
    """The tokenizer of a file.

    Args:
        path: a ``tokenizer.json``.
        engine: by our engine where it gives the ids that `tokenizers` gives.
        strict: refuse a file that is not for the engine.
        parse_special: read the names of the file's special tokens in a text as these tokens.

    Raises:
        TokenizerError: the file is missing, damaged, hostile or, if `strict`, not for the engine.
    """
    if wrong := no_file(path):
        raise TokenizerError(f"{path}: {wrong}; expected a tokenizer.json")
    try:
        size = path.stat().st_size
        if not path.is_file() or size > MAX_FILE:
            raise TokenizerError(f"{path}: expected a regular file of at most {MAX_FILE} bytes")
        text = path.read_text(encoding="utf-8")
        tokenizer = fast_tokenizer.Tokenizer(
            text, engine=engine, strict=strict, parse_special=parse_special
        )
        document = strict_json.loads(text)  # of two values of a key, the last alone was read
        if tokenizer.backend != "engine":  # which does nothing that is not in its own list
            _check_model(document["model"])
    except OSError as error:
        raise TokenizerError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # of the engine, and bytes that are not UTF-8
        raise TokenizerError(f"{path}: {error}") from error
    return tokenizer


def _check_model(model: dict[str, Any]) -> None:
    """Refuse what makes ids that differ from time to time, as a repeated run cannot have them.

    Only a model draws at random, and only by dropout; normalizers, pre-tokenizers, post-processors
    and decoders have no field for it, nor do they remember a text.

    Raises:
        ValueError: naming the field, and what to change.
    """
    if dropout := model.get("dropout"):
        raise ValueError(
            f"model.dropout = {dropout}: a text would have other ids each time, so that no run "
            'could be repeated; expected "dropout": null in the file'
        )
    unknown = next((name for name in model if name not in _MODEL), None)
    if unknown is not None:
        raise ValueError(
            f"model.{unknown:.80}: is a field that may change the ids, and is not supported; "
            "expected a model without it"
        )


@frozen
class TrainedHf(EngineTokenizer):
    """The file's ids, then mask, pad, bos and eos of our own, which no text encodes to.

    The file's truncation and padding are never applied. It pickles by the path of its file if it
    has one, else by content.
    """

    engine: fast_tokenizer.Tokenizer
    path: Path | None = None
    """The file that it was read from."""
    source: Path | None = None
    """The file that the configuration names, of which `path` may be a copy, for messages."""
    template: ChatTemplate | None = None
    """How chats are written."""

    def __reduce__(self) -> tuple[object, ...]:
        """What `pickle` writes; a file of some megabytes is read again instead."""
        if self.path is None:
            return TrainedHf, (self.engine, None, self.source, self.template)
        own, special = self.backend == "engine", self.engine.parse_special
        return _reopen, (self.path, (own, special), self.fingerprint, self.source, self.template)

    @property
    def vocabulary(self) -> Vocabulary:
        """The file's ids and four more."""
        size = self.engine.vocab_size
        return Vocabulary(
            size=size + 4, mask_id=size, pad_id=size + 1, bos_id=size + 2, eos_id=size + 3
        )

    @property
    def backend(self) -> str:
        """Who works out the ids: ``engine``, ours, or ``tokenizers``, the crate."""
        return self.engine.backend

    def identity(self) -> str:
        """The file, how it is read, and the version of the Unicode tables."""
        text = super().identity()
        # Earlier versions took all of the file at its word. What has other ids now says so.
        if self.engine.batches:
            text += "\nnothing is cut off or padded"
        if self.engine.special_tokens() and not self.engine.parse_special:
            text += "\nspecial tokens in a text are text"
        if self.template is not None:
            text += f"\nchats as in {self.template.identity}"
        return text

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids as the file has them, all of them, without its template.

        Names of the file's special tokens are text, unless it was read with ``parse_special``.
        """
        with engine_errors(where=self.source):
            return self.engine.encode(text).view(np.int32)

    def encode_control(self, text: str) -> NDArray[np.int32]:
        """Likewise, with names of the file's special tokens read as these tokens."""
        with engine_errors(where=self.source):
            return self._naming.encode(text).view(np.int32)

    @cached_property
    def _naming(self) -> fast_tokenizer.Tokenizer:
        """The same file, read so that names of special tokens are these tokens."""
        if self.engine.parse_special:
            return self.engine
        own = self.backend == "engine"
        return fast_tokenizer.Tokenizer(self.engine.to_json(), engine=own, parse_special=True)

    def chat(self, row: Row, *, asked: bool = False) -> Row:
        """A row of turns as the template of the folder writes it."""
        if self.template is None:
            raise TokenizerError(
                f"{self.source or self.path}: has no chat template; expected the folder of a "
                f"tokenizer as tokenizer.file, with {TEMPLATE} or {CONFIG} in it, or texts by "
                "role for dataset.template"
            )
        names = self.engine.special_tokens().keys() | self.engine.added_tokens().keys()
        return self.template.row(row, tuple(sorted(names)), asked=asked)

    def encode_each(self, texts: Texts) -> list[NDArray[np.int32]]:
        """Ids of several texts, strings or an Arrow array of them, on several threads."""
        with engine_errors(where=self.source):
            ids, offsets = self.engine.encode_batch(texts)
        rows: list[NDArray[np.int32]] = np.split(ids.view(np.int32), offsets[1:-1])
        return rows[: len(offsets) - 1]  # of no text there is no row, and of one cut nowhere one

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """Text of the file's ids, its own special tokens included."""
        checked = self.vocabulary.check(ids)
        known = checked[checked < self.engine.vocab_size]
        with engine_errors(where=self.source):
            return self.engine.decode(known.astype(np.uint32), skip_special=False)

    def token(self, token_id: int) -> str:
        r"""The token as text; ``\x..`` for bytes that are only a part of a character."""
        (checked,) = self.vocabulary.check([token_id])
        special = int(checked) - self.engine.vocab_size
        if special >= 0:
            return SPECIAL_TOKENS[special]
        return self.engine.token(checked).decode(errors="backslashreplace")

    def token_bytes(self, token_id: int) -> bytes:
        """What a token adds to a text behind others, the file's special ones by their names."""
        (checked,) = self.vocabulary.check([token_id])
        contexts = self._spelling.contexts
        return contexts[-1].texts[checked] or contexts[0].texts[checked] or b""

    def spelling(self) -> Spelling:
        """How texts are made of tokens by the file's decoder.

        Raises:
            TokenizerError: the decoder looks at more than a token and its neighbours.
        """
        return self._spelling

    @cached_property
    def _spelling(self) -> Spelling:
        with engine_errors(where=self.source):
            contexts = self.engine.spelling()
        own = [None] * 4
        return Spelling(
            tuple(
                SpellingContext(
                    [*texts, *own],
                    np.append(after.astype(np.int64), [number] * 4),
                    None if last is None else [*last, *own],
                )
                for number, (texts, last, after) in enumerate(contexts)
            )
        )

    def save(self, folder: Path) -> None:
        """Write the file as it was read, and the chat template if there is one."""
        path = folder / FILE
        try:
            path.write_text(self.engine.to_json(), encoding="utf-8")
            if self.template is not None:
                self.template.save(folder)
        except OSError as error:
            raise TokenizerError(f"{path}: {error.strerror}") from error


def _reopen(
    path: Path,
    how: tuple[bool, bool],
    fingerprint: str,
    source: Path | None,
    template: ChatTemplate | None,
) -> TrainedHf:
    """A tokenizer that was pickled by its path."""
    engine, parse_special = how
    again = read(path, engine=engine, strict=engine, parse_special=parse_special)
    tokenizer = TrainedHf(again, path, source, template)
    if tokenizer.fingerprint != fingerprint:
        raise TokenizerError(f"{path}: not the file that was pickled; expected the one that was")
    return tokenizer


@frozen
class Hf(Tokenizer):
    """A tokenizer from a ``tokenizer.json`` as Hugging Face tokenizers write it.

    Every text has all of its ids: truncation and padding in the file are for batches that are
    served with it, and are not applied.
    """

    file: Path
    """The file; what it says is all there is to it, so there is nothing to train. Or the folder of
    a published tokenizer that holds it: then with the chat template that ``chat_template.jinja`` or
    ``tokenizer_config.json`` has beside it, for chats whose ``template`` is ``"tokenizer"``."""
    engine: bool = False
    """Whether our own engine works where it gives the same ids; else the `tokenizers` crate, of
    which nothing but endless searches for a pattern is cut short."""
    strict: bool = False
    """Whether a file that is not for the engine is refused; only with `engine`."""
    parse_special: bool = False
    """Whether the names of the file's special tokens in a text, as ``<|im_end|>``, are these tokens
    and not text like any other. It holds for every text of a run: its data, prompts, memories and
    evidence, so for texts that are trusted to say so."""

    def train(self, texts: Iterable[str]) -> TrainedHf:
        """Read the file; the texts are not looked at."""
        if not self.file.is_dir():
            return self._read(self.file, None)
        return self._read(self.file / FILE, read_chat(self.file))

    def files(self) -> tuple[Path, ...]:
        """Those of a folder."""
        return (self.file / FILE, *files_of(self.file)) if self.file.is_dir() else ()

    def load(self, folder: Path) -> TrainedHf:
        """Read what `TrainedHf.save` wrote."""
        return self._read(folder / FILE, read_chat(folder))

    def _read(self, path: Path, template: ChatTemplate | None) -> TrainedHf:
        path = path.absolute()  # a process that unpickles it may be elsewhere
        tokenizer = read(
            path, engine=self.engine, strict=self.strict, parse_special=self.parse_special
        )
        return TrainedHf(tokenizer, path, self.file, template)
