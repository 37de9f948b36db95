"""Stores by place, and the embeddings that belong to them.

Texts are never embedded for a store by another provider than the one that made its vectors. Where a
store does not say who that was, whoever sets ``[embedding]`` says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aios_core.config.overrides import layer
from aios_core.config.reader import read as read_file
from aios_core.config.resolve import section
from aios_core.contracts.maker import Maker
from aios_core.errors import StorageError
from aios_core.memory.embedding import Embedder
from aios_core.memory.place import keepers

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts import EmbeddingProvider, VectorStore
    from aios_core.contracts.records import Metric
    from aios_core.memory.place import Place
    from aios_core.registry import Registry


def open_store(
    place: Place,
    *,
    schema: pa.Schema | None = None,
    metric: Metric = "cosine",
    read: bool = False,
    unfinished: bool = False,
) -> VectorStore:
    """Open a store, or make it where there is none and a schema is given.

    Args:
        place: where.
        schema: of a new store.
        metric: of a new store.
        read: open it for reading only.
        unfinished: also a store that a migration has filled in part.

    Raises:
        StorageError: there is none, it is unfinished, or a new one would be inside of another.

    Examples:
        >>> import pyarrow as pa
        >>> from aios_core.memory import Place
        >>> vector = pa.list_(pa.float32(), 2)
        >>> schema = pa.schema([("id", pa.int64()), ("vector", vector), ("text", pa.string())])
        >>> with open_store(Place.of("notes"), schema=schema) as store:
        ...     store.add([
        ...         {"id": 1, "vector": [1, 0], "text": "east"},
        ...         {"id": 2, "vector": [0, 1], "text": "north"},
        ...     ])
        ...     store.search([3, 1], k=1, filter="text != 'north'").to_pylist()
        2
        [{'id': 1, 'text': 'east', '_score': 0.948...}]
    """
    if schema is not None and not place.backend.exists(place.uri):
        for parent in [] if place.folder is None else place.folder.parents:
            if place.backend.exists(str(parent)):
                raise StorageError(f"{place.uri} is in the store {parent}; expected another folder")
        return place.backend.create(place.uri, schema, metric=metric)
    if not unfinished:
        check_finished(place)
    try:
        return place.backend.open(place.uri, read_only=read)
    except StorageError as error:
        if place.folder is None or not place.folder.is_dir() or place.backend.exists(place.uri):
            raise
        kinds = " or ".join(f"{kind}:{place.uri}" for kind in keepers(place))
        if not kinds:
            raise
        raise StorageError(f"{error}; expected {kinds}, which is one") from error


def check_finished(place: Place) -> None:
    """Make sure that no migration has filled a store in part.

    Raises:
        StorageError: one has; says how to go on.
    """
    mark = place.mark
    if mark is not None and mark.is_file() and place.backend.exists(place.uri):
        raise StorageError(
            f"{place.uri} is filled in part: a migration to it was not finished. Expected the same "
            f"`aios memory migrate` again, which goes on where it was, or neither this folder nor "
            f"{mark}"
        )


def with_embedding_metadata(
    schema: pa.Schema, provider: EmbeddingProvider, values: Mapping[str, Any]
) -> pa.Schema:
    """A schema with metadata on the embedding that made the vectors.

    Args:
        schema: of a store.
        provider: that will fill it.
        values: its section of the configuration.
    """
    return Maker.of(provider, values).write(schema)


class UnknownMakerError(StorageError):
    """Texts cannot be embedded for a store that does not say who made its vectors."""

    def __init__(self, *ways: str) -> None:
        ways = (
            *ways,
            "set [embedding] to what made them, by --set embedding.type=... or in a configuration",
        )
        super().__init__(
            "the store does not say which embedding made its vectors, so no text can be embedded "
            f"for it; expected one of: {'; '.join(ways)}"
        )


def embedder(
    schema: pa.Schema | None,
    *,
    config: Path | None = None,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
) -> tuple[Embedder, dict[str, Any]]:
    """What makes the vectors of a store: what made those in it.

    Args:
        schema: of the store; None: there is none yet, and all defaults will do.
        config: a TOML file whose ``[embedding]`` counts.
        overrides: ``key=value`` each, on top of it.
        registry: where providers are looked up; None discovers the installed ones.

    Returns:
        the embedder and its section of the configuration.

    Raises:
        UnknownMakerError: the store does not say who made its vectors, and ``[embedding]`` is not
            set.
        StorageError: vectors of the provider are not comparable with those in the store.
    """
    said = Maker.read(schema) if schema is not None else None
    if said is None and schema is not None and not is_set(config, overrides):
        raise UnknownMakerError
    provider, values = section(
        "embedding",
        path=config,
        values=said.values if said else None,
        overrides=overrides,
        registry=registry,
    )
    if said is not None:
        _check(said, provider)
    elif schema is not None and provider.dim != (dim := schema.field("vector").type.list_size):
        raise StorageError(
            f"[embedding] makes vectors of {provider.dim} numbers, but the store has {dim}; "
            "expected the embedding that made them"
        )
    return Embedder(provider), values


def is_set(config: Path | None, overrides: Sequence[str]) -> bool:
    """Whether a file or an override sets ``[embedding]``."""
    files = [] if config is None else [read_file(config, {})]  # what is merged is there, anyhow
    return any(root.get("embedding") is not None for root in (layer(overrides), *files))


def embedder_of(schema: pa.Schema, configured: EmbeddingProvider) -> Embedder:
    """What made the vectors of a store.

    Args:
        schema: of the store.
        configured: the ``[embedding]`` of a run. It counts where the store does not say, unless it
            is the default: a run writes its defaults out, so nobody may have chosen it.

    Raises:
        UnknownMakerError: the store does not say who made its vectors, and nobody else does.
        StorageError: what made them cannot be had, or has changed since.
    """
    said = Maker.read(schema)
    if said is not None:
        return embedder(schema)[0]
    if configured == section("embedding")[0]:
        raise UnknownMakerError
    return Embedder(configured)


def check_maker(schema: pa.Schema, provider: EmbeddingProvider) -> None:
    """Make sure that no other provider is recorded as the maker of the vectors of a store.

    Raises:
        StorageError: another one is.
    """
    said = Maker.read(schema)
    if said is not None:
        _check(said, provider)


def _check(said: Maker, provider: EmbeddingProvider) -> None:
    if said.fingerprint != provider.fingerprint:
        raise StorageError(
            f"the vectors in the store were made by another embedding ({said}) than the one that "
            "is set now, or its model has changed; leave [embedding] as it was, or begin a new "
            "store"
        )
