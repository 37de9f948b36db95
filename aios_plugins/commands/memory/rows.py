"""`aios memory add` and `delete`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from aios_plugins.commands._common import print_facts, progress
from aios_plugins.commands.memory.listing import keys_of
from aios_plugins.commands.memory.place import Where, filter_option, store_options


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
@click.option("--text", metavar="NAME", help="The column of texts.  [default: text]")
@click.option("--id", "id_", metavar="NAME", help="The column of ids.  [default: id]")
@click.option("--vector", metavar="NAME", help="The column of vectors.  [default: vector]")
@click.option(
    "--rename", metavar="OLD=NEW", multiple=True, help="Give a column a name; may be repeated."
)
@click.option("--drop", metavar="NAME", multiple=True, help="Leave a column out; may be repeated.")
@click.option(
    "--type",
    "types",
    metavar="NAME=TYPE",
    multiple=True,
    help="Convert a column to string, int64, float64 or bool; may be repeated.",
)
@click.option(
    "--drop-missing",
    is_flag=True,
    help="Delete rows of the same `source` that are not in FILE any more; with --existing skip or "
    "replace.",
)
@click.option(
    "--format",
    metavar="SUFFIX",
    help="What standard input is: a suffix such as csv.  [default: jsonl]",
)
def add(
    *,
    file: Path,
    where: Where,
    existing: Any,
    metric: Any,
    nan: Any,
    text: str | None,
    id_: str | None,
    vector: str | None,
    rename: tuple[str, ...],
    drop: tuple[str, ...],
    types: tuple[str, ...],
    drop_missing: bool,
    format: str | None,
    as_json: bool,
) -> None:
    """Add the rows of FILE, and create the store if there is none.

    FILE is JSON, JSON lines, CSV, TSV, Parquet or Arrow with `text` or `vector`, and with `id` and
    any metadata, also compressed or in a zip; or plain text, which gives a row for each paragraph;
    or - for standard input. Texts without a vector are embedded by the
    embedding of the store, or by [embedding] for a new store. If the vectors in FILE do not record
    which embedding made them, set [embedding] to say so. If no row can be added, no store is
    created.

    \b
    Examples:
      aios memory add examples/notes.jsonl --store runs/notes --existing skip
      aios memory add README.md --store runs/book --existing skip --drop-missing
      aios memory add - --store runs/piped --rename kind=topic < examples/notes.jsonl
      aios memory add examples/notes.jsonl --store lancedb:runs/wide --set embedding.dim=768
    """  # noqa: D301  # \b is for click
    from aios_plugins.commands.memory.columns import Columns
    from aios_plugins.commands.memory.importing import import_file
    from aios_plugins.commands.memory.piping import pairs, piped

    if format is not None and str(file) != "-":
        raise click.UsageError("--format is of standard input; expected it with FILE -")
    columns = Columns(
        text=text,
        id=id_,
        vector=vector,
        rename=pairs("--rename OLD=NEW", rename),
        drop=frozenset(drop),
        types=pairs("--type NAME=TYPE", types),
    )
    with (
        piped(format or "jsonl") if str(file) == "-" else nullcontext(file) as path,
        progress(f"adding {file.name}", 1000) as on_progress,
    ):
        done = import_file(
            where.place(),
            path,
            existing=existing,
            metric=metric,
            nan=nan,
            columns=columns,
            drop_missing=drop_missing,
            config=where.config,
            overrides=where.overrides,
            on_progress=on_progress,
        )
    facts = {"added": done.added, "replaced": done.replaced, "skipped": done.skipped}
    if drop_missing:
        facts["dropped"] = done.dropped
    print_facts({**facts, "rows": done.rows}, as_json=as_json)


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
        keys = keys_of(ids, store.schema, where)
        count = store.delete(keys) if ids else store.delete(filter=filter)
        print_facts({"deleted": count, "rows": store.count()}, as_json=as_json)
