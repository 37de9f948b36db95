"""The options of `aios memory` that say which store is meant."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from aios_core.cli.common import json_option, set_option
from aios_core.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts import VectorStore
    from aios_core.memory import Embedder, Place

__all__ = ["Where", "config_option", "filter_option", "store_options"]

config_option = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A TOML file with [storage] and [embedding].",
)
filter_option = click.option(
    "--filter", metavar="SQL", help="Only rows that match, as in \"lang = 'en' AND year > 2020\"."
)


@frozen
class Where:
    """A store as the command line names it, and the configuration that counts."""

    text: str
    config: Path | None
    overrides: tuple[str, ...]

    def place(self) -> Place:
        """The backend, and what it calls the store."""
        from aios_core.memory import Place

        return Place.of(self.text, config=self.config, overrides=self.overrides)

    def beside(self, text: str) -> str:
        """What the backend calls another place, where a copy of the store is or shall be.

        Raises:
            StorageError: it is of another backend.
        """
        from aios_core.memory import Place
        from aios_core.memory.place import typed

        if typed(text) is None:
            return text
        other, own = Place.of(text, config=self.config, overrides=self.overrides), self.place()
        if type(other.backend) is not type(own.backend):
            raise StorageError(f"{text} is of another backend than {self.text}; expected the same")
        return other.uri

    def open(self, *, read: bool = False) -> VectorStore:
        """The store, which must be there."""
        from aios_core.memory import open_store

        return open_store(self.place(), read=read)

    def embedder(self, schema: pa.Schema | None) -> tuple[Embedder, dict[str, Any]]:
        """What makes vectors for it, and how that was configured."""
        from aios_core.memory import embedder

        return embedder(schema, config=self.config, overrides=self.overrides)


def store_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``where``, and ``as_json``."""

    @wraps(function)
    def bundled(
        *, place: str, config: Path | None, overrides: tuple[str, ...], **others: Any
    ) -> Any:
        return function(where=Where(place, config, overrides), **others)

    text = "A folder, or TYPE:URI as in lancedb:notes. Write a folder with a colon as ./a:b."
    store = click.option("--store", "place", metavar="PLACE", required=True, help=text)
    return store(config_option(set_option(json_option(bundled))))
