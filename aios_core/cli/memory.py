"""`aios memory`: fill, search, check and move stores of memories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aios_core.cli.common import (
    json_option,
    print_facts,
    print_json,
    print_table,
    progress,
    set_option,
)
from aios_core.errors import StorageError

if TYPE_CHECKING:
    from aios_core.contracts import VectorStore

Function = TypeVar("Function", bound=Callable[..., Any])
_path = click.Path(path_type=Path)
_config = click.option(
    "--config", metavar="FILE", type=_path, help="A TOML file with [storage] and [embedding]."
)
_filter = click.option("--filter", metavar="SQL", help="As in \"lang = 'en' AND year > 2020\".")


def _place(function: Function) -> Function:
    """The options that say which store, and how its backend is configured."""
    text = "A folder, or TYPE:URI as in lancedb:notes."
    store = click.option("--store", "place", metavar="PLACE", required=True, help=text)
    return store(_config(set_option(json_option(function))))


@click.group()
def command() -> None:
    """Fill, search, check and move stores of memories.

    A store is a folder of the backend `arrow` unless --set storage.type or PLACE says otherwise.

    \b
    Examples:
      aios memory add notes.jsonl --store notes
      aios memory search --store notes "how the gate decides" -k 5
      aios memory migrate notes lancedb:notes.lance
    """  # noqa: D301  # \b is for click


@command.command()
@click.argument("file", metavar="FILE", type=_path)
@_place
@click.option(
    "--existing",
    type=click.Choice(["refuse", "skip", "replace"]),
    default="refuse",
    show_default=True,
    help="What becomes of rows whose id is there already; skip resumes an import.",
)
@click.option(
    "--metric",
    type=click.Choice(["cosine", "dot", "l2"]),
    default="cosine",
    show_default=True,
    help="Of a new store.",
)
def add(
    *,
    file: Path,
    place: str,
    config: Path | None,
    overrides: tuple[str, ...],
    existing: Any,
    metric: Any,
    as_json: bool,
) -> None:
    """Add the rows of FILE, and make the store where there is none.

    FILE is JSON lines (.jsonl) or Parquet with `text` or `vector`, and with `id` and any metadata;
    or text, a row for each paragraph. Texts are embedded by [embedding].

    \b
    Examples:
      aios memory add notes.jsonl --store notes
      aios memory add book.txt --store notes --existing skip
      aios memory add notes.jsonl --store notes --set embedding.dim=768
      aios memory add notes.parquet --store "pgvector:postgresql://localhost/db?table=notes"
    """  # noqa: D301  # \b is for click
    from aios_core.contracts import store_schema
    from aios_core.memory import Place, embedder, open_store, reading, remember
    from aios_core.memory.importing import import_file

    where = Place.of(place, config=config, overrides=overrides)
    schema = None
    if not where.backend.exists(where.uri):
        shape = reading.shape(file)
        made, values = embedder(None, config=config, overrides=overrides)
        dim = shape.dim or made.provider.dim
        schema = store_schema(dim, shape.metadata, id_type=shape.id_type)
        if shape.dim is None:
            schema = remember(schema, made.provider, values)
    with open_store(where, schema=schema, metric=metric) as store:
        made, _ = embedder(store.schema, config=config, overrides=overrides)
        with progress(f"adding {file.name}", 1000) as told:
            done = import_file(store, file, made, existing=existing, told=told)
        facts = {"added": done.added, "replaced": done.replaced, "skipped": done.skipped}
        print_facts({**facts, "rows": store.count()}, as_json=as_json)


@command.command()
@click.argument("query")
@_place
@click.option("-k", default=10, show_default=True, type=click.IntRange(min=1), help="Most rows.")
@click.option(
    "--by",
    type=click.Choice(["vector", "text", "hybrid"]),
    default="vector",
    show_default=True,
    help="Near in meaning, sharing words (BM25), or both fused by rank.",
)
@_filter
@click.option("--exact/--approximate", default=None, help="Unset: the backend decides.")
def search(
    *,
    query: str,
    place: str,
    config: Path | None,
    overrides: tuple[str, ...],
    k: int,
    by: str,
    filter: str | None,
    exact: bool | None,
    as_json: bool,
) -> None:
    """Show the rows nearest to QUERY, best first.

    \b
    Examples:
      aios memory search --store notes "how the gate decides" -k 5
      aios memory search --store notes "gate" --by hybrid --filter "year >= 2024" --json
    """  # noqa: D301  # \b is for click
    from aios_core.memory import embedder

    with _open(place, config, overrides) as store:
        if by == "text":
            found = store.search_text(query, k, filter=filter)
        else:
            made, _ = embedder(store.schema, config=config, overrides=overrides)
            vector = made.embed([query], side="query")[0]
            options: dict[str, Any] = {"filter": filter, "exact": exact}
            if by == "vector":
                found = store.search(vector, k, **options)
            else:
                found = store.search_hybrid(vector, query, k, **options)
    rows = [{"score": row.pop("_score"), **row} for row in found.to_pylist()]
    if as_json:
        print_json(rows)
        return
    shown = [
        [f"{r['score']:.4f}", str(r["id"]), shorten(r.get("text") or "", 80, placeholder="…")]
        for r in rows
    ]
    print_table(["score", "id", "text"], shown)


@command.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@_place
@_filter
def delete(
    *,
    ids: tuple[str, ...],
    place: str,
    config: Path | None,
    overrides: tuple[str, ...],
    filter: str | None,
    as_json: bool,
) -> None:
    """Delete rows by ID, or those that a filter chooses.

    \b
    Examples:
      aios memory delete --store notes n17 n18
      aios memory delete --store notes --filter "year < 2020"
    """  # noqa: D301  # \b is for click
    if bool(ids) == (filter is not None):
        raise click.UsageError("want either IDs or --filter")
    with _open(place, config, overrides, read=False) as store:
        wanted: list[int | str] = list(ids)
        if str(store.schema.field("id").type) == "int64":
            try:
                wanted = [int(one) for one in ids]
            except ValueError as error:
                raise StorageError(f"ids of {place} are whole numbers: {error}") from error
        count = store.delete(wanted) if ids else store.delete(filter=filter)
        print_facts({"deleted": count, "rows": store.count()}, as_json=as_json)


@command.command()
@_place
def stats(*, place: str, config: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show what a store holds.

    \b
    Examples:
      aios memory stats --store notes --json
    """  # noqa: D301  # \b is for click
    with _open(place, config, overrides) as store:
        told = store.stats()
        columns = {column.name: str(column.type) for column in store.schema}
    facts = {"rows": told.rows, "dim": told.dim, "metric": told.metric, "bytes": told.bytes}
    print_facts({**facts, **told.details, "columns": columns}, as_json=as_json)


@command.command()
@_place
def verify(*, place: str, config: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Read a store back and check all of it.

    \b
    Examples:
      aios memory verify --store notes
    """  # noqa: D301  # \b is for click
    with _open(place, config, overrides) as store:
        print_facts({"sound": True, "rows": store.verify()}, as_json=as_json)


@command.command()
@_place
def compact(*, place: str, config: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Give back the room of deleted rows, and bring indexes up to date.

    \b
    Examples:
      aios memory compact --store notes
    """  # noqa: D301  # \b is for click
    with _open(place, config, overrides, read=False) as store:
        before = store.stats().bytes
        store.compact()
        print_facts({"bytes_before": before, "bytes": store.stats().bytes}, as_json=as_json)


@command.command()
@click.argument("file", metavar="FILE", type=_path)
@_place
@_filter
def export(
    *,
    file: Path,
    place: str,
    config: Path | None,
    overrides: tuple[str, ...],
    filter: str | None,
    as_json: bool,
) -> None:
    """Write all rows, or those that a filter chooses, to FILE: .parquet or .jsonl.

    \b
    Examples:
      aios memory export notes.parquet --store notes
      aios memory export recent.jsonl --store notes --filter "year >= 2024"
    """  # noqa: D301  # \b is for click
    from aios_core.memory.exporting import export_file

    with _open(place, config, overrides) as store:
        with progress(f"writing {file.name}", store.count(filter)) as told:
            count = export_file(store, file, filter=filter, told=told)
        print_facts({"rows": count, "file": str(file)}, as_json=as_json)


@command.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@_config
@set_option
@json_option
def migrate(
    *, source: str, target: str, config: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Copy the store FROM to TO, and compare each row with its copy.

    Both are places as in --store. A migration that was interrupted is begun again in the same way,
    and goes on where it was.

    \b
    Examples:
      aios memory migrate notes lancedb:notes.lance
      aios memory migrate notes "pgvector:postgresql://localhost/db?table=notes"
    """  # noqa: D301  # \b is for click
    from aios_core.memory import Place, migrate, open_store

    places = [Place.of(text, config=config, overrides=overrides) for text in (source, target)]
    if places[0] == places[1]:
        raise StorageError(f"{source} and {target} are the same store; want another place")
    with open_store(places[0], read=True) as old:
        made = open_store(places[1], schema=old.schema, metric=old.metric)
        with made as new, progress(f"moving to {target}", 2 * old.count()) as told:
            done = migrate(old, new, advance=told)
    print_facts({"rows": done.rows, "copied": done.copied, "verified": True}, as_json=as_json)


def _open(
    place: str, config: Path | None, overrides: tuple[str, ...], *, read: bool = True
) -> VectorStore:
    from aios_core.memory import Place, open_store

    return open_store(Place.of(place, config=config, overrides=overrides), read=read)
