"""`aios memory add`, `search` and `delete`."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import Any

import click

from aios_core.cli.common import COUNT, print_facts, print_json, print_table, progress
from aios_core.cli.memory.place import Where, filter_option, store_options
from aios_core.errors import StorageError


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@store_options
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
    where: Where,
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
    from aios_core.memory import open_store, reading, remember
    from aios_core.memory.importing import import_file

    schema, place = None, where.place()
    if not place.backend.exists(place.uri):
        shape = reading.shape(file)
        made, values = where.embedder(None)
        dim = shape.dim or made.provider.dim
        schema = store_schema(dim, shape.metadata, id_type=shape.id_type)
        if shape.dim is None:
            schema = remember(schema, made.provider, values)
    with open_store(place, schema=schema, metric=metric) as store:
        made, _ = where.embedder(store.schema)
        with progress(f"adding {file.name}", 1000) as told:
            done = import_file(store, file, made, existing=existing, told=told)
        facts = {"added": done.added, "replaced": done.replaced, "skipped": done.skipped}
        print_facts({**facts, "rows": store.count()}, as_json=as_json)


@click.command()
@click.argument("query")
@store_options
@click.option("-k", default=10, show_default=True, type=COUNT, help="Most rows.")
@click.option(
    "--by",
    type=click.Choice(["vector", "text", "hybrid"]),
    default="vector",
    show_default=True,
    help="Near in meaning, sharing words (BM25), or both fused by rank.",
)
@filter_option
@click.option("--exact/--approximate", default=None, help="Unset: the backend decides.")
def search(
    *,
    query: str,
    where: Where,
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
    with where.open(read=True) as store:
        if by == "text":
            found = store.search_text(query, k, filter=filter)
        else:
            made, _ = where.embedder(store.schema)
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


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@store_options
@filter_option
def delete(
    *,
    ids: tuple[str, ...],
    where: Where,
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
    with where.open() as store:
        wanted: list[int | str] = list(ids)
        if str(store.schema.field("id").type) == "int64":
            try:
                wanted = [int(one) for one in ids]
            except ValueError as error:
                raise StorageError(f"ids of {where.text} are whole numbers: {error}") from error
        count = store.delete(wanted) if ids else store.delete(filter=filter)
        print_facts({"deleted": count, "rows": store.count()}, as_json=as_json)
