"""Tokenizers: text to ids and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aios_core.contracts.padding import Padding
from aios_core.contracts.rows import Control
from aios_core.contracts.space import Vocabulary
from aios_core.contracts.spelling import Spelling
from aios_core.errors import TokenizerError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aios_core.contracts.rows import Row, TextContent


class ArrowArray(Protocol):
    """An array by Arrow's PyCapsule interface, whichever library made it."""

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]: ...


class ArrowStream(Protocol):
    """An array in chunks by Arrow's PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


Texts = Sequence[str] | ArrowArray | ArrowStream
"""What a tokenizer takes that works outside of Python: strings, or texts that never become any."""


@contextmanager
def tokenizer_errors(*kinds: type[Exception], where: object = None) -> Iterator[None]:
    """Turn a text that is no Unicode, and errors of `kinds`, into `TokenizerError`.

    Args:
        kinds: of errors.
        where: the file that they are about, to stand before the message.
    """
    try:
        yield
    except UnicodeEncodeError as error:
        raise TokenizerError(
            f"the text holds a lone surrogate at position {error.start}, which is not a character"
        ) from error
    except kinds as error:
        raise TokenizerError(str(error) if where is None else f"{where}: {error}") from error


class TrainedTokenizer(ABC):
    """A tokenizer that is ready to use; made by `Tokenizer.train` or `Tokenizer.load`."""

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """Size and special ids."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of all that decides ids: equal fingerprints give equal ids."""

    @abstractmethod
    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids of one text, (n,) int32: all of them, and none that the text does not say.

        None is special, neither of `vocabulary` nor of the files of others: a text may say
        ``<mask>`` or ``<|im_end|>``, as a prompt, a memory or a data set may, and forges nothing by
        it. A tokenizer whose files have special tokens may offer a field ``parse_special`` under
        which their names are these tokens; its default is false. Nothing is cut off or padded:
        lengths are those of `Padding`.

        Raises:
            TokenizerError: the text holds a lone surrogate, which is not a character.
        """

    def encode_control(self, text: str) -> NDArray[np.int32]:
        """Ids of a template's text, (n,) int32, in which names of special tokens are these tokens.

        They are those of the tokenizer's files alone, and never those of `vocabulary`. Override it
        where files have such tokens; here there are none.

        Raises:
            TokenizerError: as for `encode`.
        """
        return self.encode(text)

    def encode_content(self, content: TextContent) -> NDArray[np.int32]:
        """Ids of the content of a segment, (n,) int32, each of its parts apart.

        Raises:
            TokenizerError: as for `encode`.
        """
        if isinstance(content, str):
            return self.encode(content)
        import numpy as np

        ids = (
            self.encode_control(part.text) if isinstance(part, Control) else self.encode(part)
            for part in content
        )
        return np.concatenate([np.empty(0, np.int32), *ids])

    def chat(self, row: Row, *, asked: bool = False) -> Row:
        """A row of turns, `Row.chat`, as the tokenizer's own template writes it.

        What the template says is `Control` and given, but for the end of a turn that is a target,
        which is learned; what turns say stays apart from it, a str. Override it where files have
        such a template; here there is none.

        Args:
            row: of turns; none of an assistant's is empty.
            asked: up to where the answer to the last turn begins, instead of all turns.

        Raises:
            TokenizerError: there is no template, or it cannot be used.
            DataError: it refuses these turns, or changes what they say.
        """
        raise TokenizerError(
            f"{type(self).__name__} has no chat template; expected a tokenizer with one, or texts "
            "by role for the template of the data set"
        )

    @abstractmethod
    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """Text of ids; special tokens are left out, broken UTF-8 becomes U+FFFD.

        Raises:
            TokenizerError: an id is not in the vocabulary.
        """

    @abstractmethod
    def token(self, token_id: int) -> str:
        """One token as a person may read it (a mask as ``<mask>``); for reports and inspection."""

    def token_bytes(self, token_id: int) -> bytes:
        """What a token adds to a text as UTF-8, wherever it stands; nothing for a special one.

        Override it where a token may be a part of a character: what cannot be decoded alone
        counts as nothing here, and then no constrained text holds it.
        """
        text = self.decode([token_id])
        return b"" if "\ufffd" in text else text.encode()

    def spelling(self) -> Spelling:
        """How texts are made of tokens, for constraints on them; by default of `token_bytes`.

        Override it where what a token adds depends on where it stands.

        Raises:
            TokenizerError: decoding several tokens is not decoding each, and nothing says how.
        """
        size = self.vocabulary.size
        tokens = [self.token_bytes(token_id) for token_id in range(size)]
        if type(self).token_bytes is TrainedTokenizer.token_bytes:
            beside = next((i for i, token in enumerate(tokens) if token.isalpha()), None)
            for i, token in enumerate(tokens):
                for row in ([i, i], [beside or 0, i], [i, beside or 0]) if token else ():
                    expected = b"".join(tokens[token] for token in row).decode()
                    if expected != (decoded := self.decode(row)):
                        raise TokenizerError(
                            f"{type(self).__name__}: ids {row} decode to {decoded!r}, and singly "
                            f"to {expected!r}; constraints on texts need a tokenizer that "
                            "overrides its method token_bytes or spelling"
                        )
        return Spelling.plain(tokens)

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what `Tokenizer.load` needs into an existing folder.

        Raises:
            TokenizerError: a file cannot be written.
        """

    def encode_each(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Ids of several texts, each as `encode` has them; override it if together is faster."""
        return [self.encode(text) for text in texts]

    def encode_batch(
        self, texts: Sequence[str], padding: Padding = Padding()
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Ids of several texts, cut and padded to one length.

        Args:
            texts: B texts.
            padding: how.

        Returns:
            ids (B, L) int64 and mask (B, L) bool, False at padding; `torch.from_numpy` takes
            either without a copy.

        Raises:
            TokenizerError: as `encode`, or the rectangle does not fit into memory.
        """
        return padding.apply(self.encode_each(texts), self.vocabulary)

    def decode_batch(self, rows: Iterable[Sequence[int] | NDArray[np.integer]]) -> list[str]:
        """Texts of several rows of ids."""
        return [self.decode(row) for row in rows]


class Tokenizer(ABC):
    """How to obtain a tokenizer: from texts, or from a folder that one was saved to."""

    def files(self) -> tuple[Path, ...]:
        """Files that what is trained depends on and that no field names, as those of a folder."""
        return ()

    @abstractmethod
    def train(self, texts: Iterable[str]) -> TrainedTokenizer:
        """Learn from texts, the same from the same texts; one without parameters ignores them.

        Raises:
            TokenizerError: the texts hold too little for the settings.
        """

    @abstractmethod
    def load(self, folder: Path) -> TrainedTokenizer:
        """Read what `TrainedTokenizer.save` wrote.

        Raises:
            TokenizerError: a file is missing, damaged or hostile.
        """
