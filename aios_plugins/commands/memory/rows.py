"""`aios memory add`, `search` and `delete`."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from aios_core.cli.common import print_json, print_table
from aios_core.cli.numbers import COUNT
from aios_core.errors import StorageError
from aios_plugins.commands._common import print_facts, progress
from aios_plugins.commands.memory.place import Where, filter_option, store_options
from aios_plugins.commands.memory.vectors import read_vector

if TYPE_CHECKING:
    from aios_core.contracts import VectorStore


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@store_options
@click.option(
    "--existing",
    type=click.Choice(["refuse", "skip", "replace"]),
    default="refuse",
    show_default=True,
    help="Rows whose id is in the store already, or twice in FILE. refuse: an error before "
    "anything is written; skip: keep the first, which resumes an import; replace: keep "
    "the last.",
)
@click.option(
    "--metric",
    type=click.Choice(["cosine", "dot", "l2"]),
    help="Metric of a new store.  [default: that of the exported store, else cosine]",
)
@click.option(
    "--nan",
    type=click.Choice(["refuse", "missing"]),
    default="refuse",
    show_default=True,
    help="NaN in a column. refuse: an error; missing: no value, as pandas means it.",
)
def add(
    *,
    file: Path,
    where: Where,
    existing: Any,
    metric: Any,
    nan: Any,
    as_json: bool,
) -> None:
    """Add the rows of FILE, and create the store if there is none.

    FILE is JSON lines (.jsonl) or Parquet with `text` or `vector`, and with `id` and any metadata;
    or plain text, which gives a row for each paragraph. Texts without a vector are embedded by the
    embedding of the store, or by [embedding] for a new store. If the vectors in FILE do not record
    which embedding made them, set [embedding] to say so. If no row can be added, no store is
    created.

    \b
    Examples:
      aios memory add examples/notes.jsonl --store runs/notes --existing skip
      aios memory add README.md --store runs/book
      aios memory add examples/notes.jsonl --store lancedb:runs/wide --set embedding.dim=768
    """  # noqa: D301  # \b is for click
    from aios_plugins.commands.memory.importing import import_file

    with progress(f"adding {file.name}", 1000) as on_progress:
        done = import_file(
            where.place(),
            file,
            existing=existing,
            metric=metric,
            nan=nan,
            config=where.config,
            overrides=where.overrides,
            on_progress=on_progress,
        )
    facts = {"added": done.added, "replaced": done.replaced, "skipped": done.skipped}
    print_facts({**facts, "rows": done.rows}, as_json=as_json)


@click.command()
@click.argument("query", required=False)
@store_options
@click.option("-k", default=10, show_default=True, type=COUNT, help="Show at most this many rows.")
@click.option(
    "--by",
    type=click.Choice(["vector", "text", "hybrid"]),
    default="vector",
    show_default=True,
    help="vector: near in meaning; text: with the same words (BM25); hybrid: both, fused by rank.",
)
@click.option(
    "--vector",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Search by the vector in FILE, a list of numbers in JSON or .npy, instead of that of "
    "QUERY.",
)
@filter_option
@click.option(
    "--exact/--approximate",
    default=None,
    help="Compare all vectors, or use an index that may miss some.  [default: the backend decides]",
)
def search(
    *,
    query: str | None,
    where: Where,
    k: int,
    by: str,
    file: Path | None,
    filter: str | None,
    exact: bool | None,
    as_json: bool,
) -> None:
    """Show the rows nearest to QUERY, best first.

    QUERY is embedded by the embedding that made the vectors of the store. If the store does not
    record which one that was, search --by text, give a --vector, or set [embedding].

    \b
    Examples:
      aios memory search --store runs/notes "how the gate decides" -k 5
      aios memory search --store runs/notes "gate" --by hybrid --filter "year >= 2024" --json
    """  # noqa: D301  # \b is for click
    _check_search(query, by, file, exact=exact)
    query = query or ""
    with where.open(read=True) as store:
        if by == "text":
            nearest = store.search_text(query, k, filter=filter)
        else:
            vector = _embedded(where, store, query) if file is None else read_vector(file)
            options: dict[str, Any] = {"filter": filter, "exact": exact}
            if by == "vector":
                nearest = store.search(vector, k, **options)
            else:
                nearest = store.search_hybrid(vector, query, k, **options)
    rows = [{"score": row.pop("_score"), **row} for row in nearest.to_pylist()]
    if as_json:
        print_json(rows)
        return
    shown = [
        [f"{r['score']:.4f}", str(r["id"]), shorten(r.get("text") or "", 80, placeholder="…")]
        for r in rows
    ]
    print_table(["score", "id", "text"], shown)


def _check_search(query: str | None, by: str, file: Path | None, *, exact: bool | None) -> None:
    if by == "text" and (file is not None or exact is not None):
        raise click.UsageError(
            "--by text searches words alone; leave --vector, --exact and --approximate"
        )
    if by == "vector" and file is not None:
        if query is not None:
            raise click.UsageError("expected either QUERY or --vector; --by hybrid takes both")
        return
    if query is None or not query.strip():
        got = "none" if query is None else "an empty one"
        raise click.UsageError(f"expected a QUERY, got {got}")
    if not re.search(r"\w", query):
        click.echo(
            f"note: QUERY {query!r} has no letter and no digit, so what is found may mean nothing",
            err=True,
        )


def _embedded(where: Where, store: VectorStore, query: str) -> Any:
    from aios_core.memory.opening import UnknownMakerError

    try:
        made, _ = where.embedder(store.schema)
    except UnknownMakerError:
        texts = "text" in store.schema.names and "text" in store.backend.capabilities
        ways = ("search --by text",) if texts else ()
        raise UnknownMakerError(*ways, "give the query's --vector FILE") from None
    return made.embed([query], side="query")[0]


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
    """Delete rows by ID, or all that match a filter.

    \b
    Examples:
      aios memory delete --store runs/notes n17 n18
      aios memory delete --store runs/notes --filter "year < 2020"
    """  # noqa: D301  # \b is for click
    if bool(ids) == (filter is not None):
        raise click.UsageError("expected either IDs or --filter")
    with where.open() as store:
        keys: list[int | str] = list(ids)
        if str(store.schema.field("id").type) == "int64":
            try:
                keys = [int(key) for key in ids]
            except ValueError as error:
                raise StorageError(
                    f"{where.text}: expected whole numbers as ids: {error}"
                ) from error
        count = store.delete(keys) if ids else store.delete(filter=filter)
        print_facts({"deleted": count, "rows": store.count()}, as_json=as_json)
