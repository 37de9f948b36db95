"""What tokens add to a decoded text, by where they stand: what constraints on texts read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from attrs import frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@frozen(eq=False)
class SpellingContext:
    """What tokens add behind some others, as WordPiece's do behind any but with no blank first."""

    texts: Sequence[bytes | None]
    """V byte strings of UTF-8, parts of characters among them; None: in no constrained text."""
    after: NDArray[np.int64]
    """(V,) number of the context behind each token."""
    last: Sequence[bytes | None] | None = None
    """V byte strings where the text ends with the token; None: the same."""


@frozen(eq=False)
class Spelling:
    """How texts are made of tokens.

    A text begins in the first context, and each token leads to another or to the same.
    """

    contexts: tuple[SpellingContext, ...]

    @classmethod
    def plain(cls, tokens: Sequence[bytes]) -> Self:
        """Tokens that add the same wherever they stand; empty ones are in no constrained text."""
        import numpy as np

        texts = [token or None for token in tokens]
        return cls((SpellingContext(texts, np.zeros(len(texts), dtype=np.int64)),))

    def spell(self, ids: Sequence[int]) -> bytes | None:
        """The text of a row as UTF-8; None if one of its tokens is in no constrained text."""
        place, parts = 0, []
        for number, token in enumerate(ids, 1):
            context = self.contexts[place]
            last = context.last if number == len(ids) else None
            parts.append((context.texts if last is None else last)[token])
            place = int(context.after[token])
        known = [part for part in parts if part is not None]
        return b"".join(known) if len(known) == len(parts) else None
