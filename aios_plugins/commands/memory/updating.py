"""`aios memory update`: columns of rows that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aios_core.contracts.records import missing_column
from aios_core.errors import StorageError
from aios_plugins.commands._common import print_facts
from aios_plugins.commands.memory.listing import keys_of
from aios_plugins.commands.memory.place import Where, filter_option, store_options

if TYPE_CHECKING:
    import pyarrow as pa


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@store_options
@filter_option
@click.option(
    "--value",
    "values",
    metavar="NAME=VALUE",
    multiple=True,
    help="Give a column this value; may be repeated.",
)
@click.option(
    "--clear", "cleared", metavar="NAME", multiple=True, help="Leave a column without a value."
)
def update(
    *,
    ids: tuple[str, ...],
    where: Where,
    filter: str | None,
    values: tuple[str, ...],
    cleared: tuple[str, ...],
    as_json: bool,
) -> None:
    """Change columns of rows by ID, or of all that match a filter; other columns stay.

    A new `text` is embedded by the embedding that made the vectors of the store.

    \b
    Examples:
      aios memory update --store runs/notes n3 --value year=2025 --clear lang
      aios memory update --store runs/notes --filter "lang = 'en'" --value kind=note
    """  # noqa: D301  # \b is for click
    if bool(ids) == (filter is not None):
        raise click.UsageError("expected either IDs or --filter")
    if not values and not cleared:
        raise click.UsageError("expected --value NAME=VALUE or --clear NAME, got neither")
    with where.open() as store:
        changes = _changes(values, cleared, store.schema)
        if changes.get("text") is not None:
            made, _ = where.embedder(store.schema)
            changes["vector"] = made.embed([changes["text"]])[0]
        if filter is not None:
            done = store.update_where(changes, filter)
        else:
            keys = dict.fromkeys(keys_of(ids, store.schema, where))
            done = store.update([{"id": key, **changes} for key in keys])
        print_facts({"updated": done, "rows": store.count()}, as_json=as_json)


def _changes(
    values: tuple[str, ...], cleared: tuple[str, ...], schema: pa.Schema
) -> dict[str, Any]:
    """The new value of each column, None where it is cleared."""
    changes: dict[str, Any] = {}
    for given in values:
        name, sign, text = given.partition("=")
        if not sign:
            raise click.UsageError(f"expected --value NAME=VALUE, got {given!r}")
        column = _column(name, schema, changes)
        changes[column] = _value(column, text, schema)
    for name in cleared:
        changes[_column(name, schema, changes)] = None
    return changes


def _column(name: str, schema: pa.Schema, changes: dict[str, Any]) -> str:
    if name in changes:
        raise click.UsageError(f"column {name!r} is given twice; expected one --value or --clear")
    if name in ("id", "vector"):
        raise click.UsageError(f"expected a column other than 'id' and 'vector', got {name!r}")
    if name not in schema.names:
        raise missing_column(name, schema.names)
    return name


def _value(name: str, text: str, schema: pa.Schema) -> Any:
    """A value of the type of a column, as the command line says it."""
    kind = str(schema.field(name).type)
    if kind == "bool":
        if text not in ("true", "false"):
            raise StorageError(f"column {name!r}: expected true or false, got {text!r}")
        return text == "true"
    try:
        return {"string": str, "int64": int, "double": float}[kind](text)
    except ValueError:
        words = "a whole number" if kind == "int64" else "a number"
        raise StorageError(f"column {name!r}: expected {words}, got {text!r}") from None
