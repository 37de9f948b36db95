"""`aios memory search`."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from aios_core.cli.common import print_json, print_table
from aios_core.cli.numbers import COUNT, Number
from aios_plugins.commands.memory.listing import keys_of
from aios_plugins.commands.memory.place import Where, filter_option, store_options
from aios_plugins.commands.memory.vectors import read_vector

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts import VectorStore


@click.command()
@click.argument("queries", metavar="[QUERY]...", nargs=-1)
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
@click.option("--like", metavar="ID", help="Search by the vector of a row, which is left out.")
@click.option(
    "--min-score",
    metavar="S",
    type=Number(-1e30, 1e30),
    help="Leave out rows of a lower score.",
)
@click.option(
    "--weights",
    metavar="V T",
    type=Number(0, 1000),
    nargs=2,
    help="With --by hybrid: how much the ranks by vector and by text count.  [default: 1 1]",
)
@filter_option
@click.option(
    "--exact/--approximate",
    default=None,
    help="Compare all vectors, or use an index that may miss some.  [default: the backend decides]",
)
def search(
    *,
    queries: tuple[str, ...],
    where: Where,
    k: int,
    by: str,
    file: Path | None,
    like: str | None,
    min_score: float | None,
    weights: tuple[float, float] | None,
    filter: str | None,
    exact: bool | None,
    as_json: bool,
) -> None:
    """Show the rows nearest to QUERY, best first; of several, to each.

    QUERY is embedded by the embedding that made the vectors of the store. If the store does not
    record which one that was, search --by text, give a --vector, or set [embedding].

    \b
    Examples:
      aios memory search --store runs/notes "how the gate decides" -k 5
      aios memory search --store runs/notes "gate" --by hybrid --filter "year >= 2024" --json
      aios memory search --store runs/notes --like n1 --min-score 0.3
    """  # noqa: D301  # \b is for click
    _check(queries, by, file, like, exact=exact)
    if by != "hybrid" and weights is not None:
        raise click.UsageError("--weights is of --by hybrid; leave it, or search so")
    if by == "hybrid" and min_score is not None:
        raise click.UsageError(
            "--by hybrid has scores of ranks; leave --min-score, or search by vector or text"
        )
    options: dict[str, Any] = {"filter": filter, "exact": exact}
    with where.open(read=True) as store:
        if like is not None:
            (key,) = keys_of([like], store.schema, where)
            tables = [store.search_like(key, k, min_score=min_score, **options)]
        elif by == "text":
            tables = [
                store.search_text(query, k, filter=filter, min_score=min_score) for query in queries
            ]
        else:
            vectors = [read_vector(file)] if file else _embedded(where, store, queries)
            if by == "vector":
                tables = [store.search(v, k, min_score=min_score, **options) for v in vectors]
            else:
                both = zip(vectors, queries, strict=True)
                options["weights"] = weights or (1.0, 1.0)
                tables = [store.search_hybrid(v, query, k, **options) for v, query in both]
    _show(queries, tables, as_json=as_json)


def _show(queries: tuple[str, ...], tables: list[pa.Table], *, as_json: bool) -> None:
    """Print what is near; where there are several queries, each with its own."""
    answers = [
        [{"score": row.pop("_score"), **row} for row in table.to_pylist()] for table in tables
    ]
    if as_json:
        several = [
            {"query": query, "rows": rows} for query, rows in zip(queries, answers, strict=False)
        ]
        print_json(answers[0] if len(answers) == 1 else several)
        return
    for number, rows in enumerate(answers):
        if len(answers) > 1:
            click.echo(f"{'' if not number else chr(10)}{queries[number]}:")
        shown = [
            [f"{r['score']:.4f}", str(r["id"]), shorten(r.get("text") or "", 80, placeholder="…")]
            for r in rows
        ]
        print_table(["score", "id", "text"], shown)


def _check(
    queries: tuple[str, ...], by: str, file: Path | None, like: str | None, *, exact: bool | None
) -> None:
    if by == "text" and (file is not None or exact is not None):
        raise click.UsageError(
            "--by text searches words alone; leave --vector, --exact and --approximate"
        )
    if like is not None:
        if queries or file is not None or by != "vector":
            raise click.UsageError("--like searches by the vector of a row; leave the other ways")
        return
    if by == "vector" and file is not None:
        if queries:
            raise click.UsageError("expected either QUERY or --vector; --by hybrid takes both")
        return
    if file is not None and len(queries) > 1:
        raise click.UsageError("expected one QUERY with --vector")
    if not queries or not all(query.strip() for query in queries):
        got = "an empty one" if queries else "none"
        raise click.UsageError(f"expected a QUERY, got {got}")
    for query in queries:
        if not re.search(r"\w", query):
            click.echo(
                f"note: QUERY {query!r} has no letter and no digit, so what is found may mean "
                "nothing",
                err=True,
            )


def _embedded(where: Where, store: VectorStore, queries: tuple[str, ...]) -> Any:
    from aios_core.memory.opening import UnknownMakerError

    try:
        made, _ = where.embedder(store.schema)
    except UnknownMakerError:
        texts = "text" in store.schema.names and "text" in store.backend.capabilities
        ways = ("search --by text",) if texts else ()
        raise UnknownMakerError(*ways, "give the query's --vector FILE") from None
    return made.embed(queries, side="query")
