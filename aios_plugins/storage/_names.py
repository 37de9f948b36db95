"""Names by which a database keeps columns that it cannot keep by their own."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_OURS: Final = frozenset(["id", "text", "vector"])
_POSTGRES: Final = frozenset(["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"])


def kept_names(schema: pa.Schema) -> dict[str, str]:
    """For each column a name that any database takes: its own, or a number where that is not one.

    ``id``, ``text`` and ``vector`` keep their names, and so does a word of ASCII of at most 63
    letters, digits and underscores that no other column is in other letter case. The others become
    ``_3``, by their place: no column of a store can have an underscore in front.
    """
    folded = Counter(name.lower() for name in schema.names)

    def keeps(name: str) -> bool:
        alone = folded[name.lower()] == 1 and name.lower() not in _POSTGRES
        return name in _OURS or (alone and _PLAIN.fullmatch(name) is not None)

    return {name: name if keeps(name) else f"_{place}" for place, name in enumerate(schema.names)}


def is_plain(name: str) -> bool:
    """Whether a name means nothing but itself in any database's language."""
    return re.fullmatch(r"_?[A-Za-z0-9][A-Za-z0-9_]*", name) is not None
