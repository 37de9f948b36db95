"""Stores by place and configuration, and the embeddings that belong to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from aios_core.config.resolve import section
from aios_core.errors import StorageError
from aios_core.memory.embedding import Embedder
from aios_core.registry import Registry

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts import EmbeddingProvider, StorageBackend, VectorStore
    from aios_core.contracts.records import Metric

_KEY: Final = b"aios.embedding"
"""In the schema's metadata: which provider made the vectors."""


@frozen
class Place:
    """A backend and where its store is."""

    backend: StorageBackend
    uri: str

    @classmethod
    def of(
        cls,
        text: str,
        *,
        config: Path | None = None,
        overrides: Sequence[str] = (),
        registry: Registry | None = None,
    ) -> Place:
        """A place as users write it: ``URI``, or ``TYPE:URI`` where it is not the configured type.

        Args:
            text: as in ``"notes"`` or ``"lancedb:notes"``.
            config: a TOML file whose ``[storage]`` counts; None: all defaults.
            overrides: ``key=value`` each, on top of it.
            registry: where backends are looked up; None discovers the installed ones.

        Raises:
            ConfigError: the configuration is wrong.
            StorageError: it names no place, or a type that is nearly one.
        """
        registry = registry or Registry.discover()
        kind, colon, uri = text.partition(":")
        known = {one.name for one in registry.offers("storage")}
        if colon and kind in known:
            overrides = (*overrides, f"storage.type={kind}")
        else:
            uri = text
            if colon and (near := get_close_matches(kind, known, n=1)):
                raise StorageError(
                    f"no storage backend is called {kind!r}; did you mean {near[0]!r}? A folder of "
                    f"that name is './{text}'"
                )
        if not uri:
            raise StorageError(f"{text!r} names no place; want a folder, or TYPE:URI")
        backend, _ = section("storage", path=config, overrides=overrides, registry=registry)
        return cls(backend, uri)


def open_store(
    place: Place, *, schema: pa.Schema | None = None, metric: Metric = "cosine", read: bool = False
) -> VectorStore:
    """Open a store, or make it where there is none and a schema is given.

    Args:
        place: where.
        schema: of a new store.
        metric: of a new store.
        read: open it for reading only.
    """
    if schema is not None and not place.backend.exists(place.uri):
        return place.backend.create(place.uri, schema, metric=metric)
    return place.backend.open(place.uri, read_only=read)


def remember(
    schema: pa.Schema, provider: EmbeddingProvider, values: Mapping[str, Any]
) -> pa.Schema:
    """A schema that says who made the vectors.

    Args:
        schema: of a store.
        provider: that will fill it.
        values: its section of the configuration.
    """
    said = {"values": dict(values), "fingerprint": provider.fingerprint}
    return schema.with_metadata({**(schema.metadata or {}), _KEY: json.dumps(said)})


def embedder(
    schema: pa.Schema | None,
    *,
    config: Path | None = None,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
) -> tuple[Embedder, dict[str, Any]]:
    """What makes the vectors of a store: by default what made those in it.

    Args:
        schema: of the store; None: there is none yet.
        config: a TOML file whose ``[embedding]`` counts; None: all defaults.
        overrides: ``key=value`` each, on top of it.
        registry: where providers are looked up; None discovers the installed ones.

    Returns:
        the embedder and its section of the configuration.

    Raises:
        StorageError: vectors of the provider are not comparable with those in the store.
    """
    said = _recorded(schema)
    provider, values = section(
        "embedding", path=config, values=said["values"], overrides=overrides, registry=registry
    )
    if said["fingerprint"] not in (None, provider.fingerprint):
        was = ", ".join(f"{key} = {value!r}" for key, value in said["values"].items())
        raise StorageError(
            f"the vectors in the store were made by another embedding ({was}) than the one that is "
            "set now, or its model has changed; leave [embedding] as it was, or begin a new store"
        )
    return Embedder(provider), values


def embedder_of(schema: pa.Schema, otherwise: EmbeddingProvider) -> Embedder:
    """What made the vectors of a store.

    Args:
        schema: of the store.
        otherwise: what to take where the store does not say.
    """
    said = _recorded(schema)["fingerprint"]
    return Embedder(otherwise) if said is None else embedder(schema)[0]


def _recorded(schema: pa.Schema | None) -> dict[str, Any]:
    nothing: dict[str, Any] = {"values": {}, "fingerprint": None}
    text = (schema.metadata or {}).get(_KEY) if schema is not None else None
    if text is None:
        return nothing
    try:
        said = json.loads(text)
        if isinstance(said["values"], dict) and isinstance(said["fingerprint"], str):
            return said  # type: ignore[no-any-return]
    except (ValueError, KeyError, TypeError):
        pass
    raise StorageError("the store's record of its embedding is damaged; want JSON")
