"""`aios memory get`, `list` and `count`: rows by id, in an order, and how many."""

from __future__ import annotations

import json
from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from aios_core.cli.common import print_json, print_table
from aios_core.cli.numbers import COUNT, whole
from aios_core.errors import StorageError
from aios_plugins.commands._common import print_facts
from aios_plugins.commands.memory.place import Where, filter_option, store_options

if TYPE_CHECKING:
    import pyarrow as pa

column_option = click.option(
    "--column",
    "columns",
    metavar="NAME",
    multiple=True,
    help="Show this column; may be repeated.  [default: all but the vector]",
)


def keys_of(ids: Sequence[str], schema: pa.Schema, where: Where) -> list[int | str]:
    """Ids of the command line, as the store has them.

    Raises:
        StorageError: its ids are whole numbers, and one of these is none.
    """
    if str(schema.field("id").type) != "int64":
        return list(ids)
    try:
        return [int(row_id) for row_id in ids]
    except ValueError as error:
        raise StorageError(f"{where.text}: expected whole numbers as ids: {error}") from error


def show(rows: pa.Table, *, as_json: bool) -> None:
    """Print rows, as JSON or as a table in which long values are cut."""
    if as_json:
        print_json(rows.to_pylist())
        return
    print_table(rows.column_names, [[_cell(v) for v in r.values()] for r in rows.to_pylist()])


def _cell(value: Any) -> str:
    """A value in a table; what is missing is empty."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return shorten(text, 60, placeholder="…")


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@store_options
@column_option
def get(*, ids: tuple[str, ...], columns: tuple[str, ...], where: Where, as_json: bool) -> None:
    """Show the rows of some IDs, in their order.

    \b
    Examples:
      aios memory get --store runs/notes n1 n2
      aios memory get --store runs/notes n1 --column vector --json
    """  # noqa: D301  # \b is for click
    with where.open(read=True) as store:
        keys = list(dict.fromkeys(keys_of(ids, store.schema, where)))
        names = list(columns) or [name for name in store.schema.names if name != "vector"]
        rows = store.get(keys, columns=list(dict.fromkeys([*names, "id"])))
        there = set(rows["id"].to_pylist())
        if missing := [key for key in keys if key not in there]:
            raise StorageError(f"{where.text}: expected ids of rows, got {missing[0]!r}")
        show(rows.select(names), as_json=as_json)


@click.command("list")
@store_options
@filter_option
@click.option("--order", metavar="NAME", default="id", show_default=True, help="Sort by a column.")
@click.option("--descending", is_flag=True, help="The largest first; missing values stay last.")
@click.option("--limit", type=COUNT, default=20, show_default=True, help="Show at most so many.")
@click.option(
    "--offset",
    type=whole(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="Pass over so many, for the next page.",
)
@column_option
def list_rows(
    *,
    where: Where,
    filter: str | None,
    order: str,
    descending: bool,
    limit: int,
    offset: int,
    columns: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show rows in an order, a page at a time.

    \b
    Examples:
      aios memory list --store runs/notes --order year --descending --limit 5
      aios memory list --store runs/notes --filter "year >= 2024" --column id --column text
    """  # noqa: D301  # \b is for click
    with where.open(read=True) as store:
        rows = store.select(
            filter=filter,
            order=order,
            descending=descending,
            limit=limit,
            offset=offset,
            columns=columns or None,
        )
    show(rows, as_json=as_json)


@click.command()
@store_options
@filter_option
def count(*, where: Where, filter: str | None, as_json: bool) -> None:
    """Count rows, all or those that match a filter.

    \b
    Examples:
      aios memory count --store runs/notes --filter "year >= 2024"
    """  # noqa: D301  # \b is for click
    with where.open(read=True) as store:
        print_facts({"rows": store.count(filter)}, as_json=as_json)
