"""Who made the vectors of a store: recorded in its schema, and carried along with its rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import field, frozen

from aios_core.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts.embedding import EmbeddingProvider

MADE_BY: Final = "_embedding"
"""Of a line of JSON: who made its vector, as `Maker.plain` says it. No column has such a name."""

_KEY: Final = b"aios.embedding"
"""In the metadata of a schema, of a store or of a Parquet file."""


@frozen
class Maker:
    """The embedding that made vectors. Two are equal if they make equal vectors."""

    fingerprint: str
    """Of the provider."""
    values: dict[str, Any] = field(factory=dict, eq=False, hash=False)
    """Its section of the configuration, ``type`` and all."""

    def __str__(self) -> str:
        said = ", ".join(f"{key} = {value!r}" for key, value in self.values.items())
        return said or f"fingerprint {self.fingerprint[:16]}"

    @classmethod
    def of(cls, provider: EmbeddingProvider, values: Mapping[str, Any]) -> Self:
        """The maker that a provider is, by its section of the configuration."""
        return cls(provider.fingerprint, dict(values))

    @classmethod
    def read(cls, schema: pa.Schema) -> Self | None:
        """Who made the vectors of a store or file; None where its schema does not say.

        Raises:
            StorageError: what it says is damaged.
        """
        text = (schema.metadata or {}).get(_KEY)
        if text is None:
            return None
        try:
            return cls.parse(json.loads(text))
        except ValueError:
            raise StorageError("the record of the embedding is damaged: expected JSON") from None

    @classmethod
    def parse(cls, said: Any) -> Self:
        """The maker that `plain` gave.

        Raises:
            ValueError: it is something else.
        """
        if isinstance(said, dict):
            fingerprint, values = said.get("fingerprint"), said.get("values")
            if isinstance(fingerprint, str) and isinstance(values, dict):
                return cls(fingerprint, values)
        raise ValueError("expected an object with 'fingerprint' and 'values'")

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"values": self.values, "fingerprint": self.fingerprint}

    def write(self, schema: pa.Schema) -> pa.Schema:
        """A schema that says who made the vectors."""
        said = json.dumps(self.plain())
        return schema.with_metadata({**(schema.metadata or {}), _KEY: said.encode()})


def described(maker: Maker | None) -> str:
    """A maker in a message."""
    return "an embedding that is not recorded" if maker is None else f"the embedding {maker}"
