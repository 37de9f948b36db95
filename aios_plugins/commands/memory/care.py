"""`aios memory stats`, `verify`, `compact`, `snapshot` and `restore`: the care of stores."""

from __future__ import annotations

from typing import Any

import click

from aios_core.redaction import redacted
from aios_plugins.commands._common import print_facts
from aios_plugins.commands.memory.place import Where, store_options


@click.command()
@store_options
def stats(*, where: Where, as_json: bool) -> None:
    """Show what a store holds, and which embedding made its vectors.

    \b
    Examples:
      aios memory stats --store runs/notes --json
    """  # noqa: D301  # \b is for click
    from aios_core.contracts.maker import Maker

    with where.open(read=True) as store:
        stats = store.stats()
        columns = {column.name: str(column.type) for column in store.schema}
        maker = Maker.read(store.schema)
    facts: dict[str, Any] = {
        "rows": stats.rows,
        "dim": stats.dim,
        "metric": stats.metric,
        "bytes": stats.bytes,
    }
    facts["embedding"] = "not recorded" if maker is None else str(maker)
    print_facts({**facts, **stats.details, "columns": columns}, as_json=as_json)


@click.command()
@store_options
def verify(*, where: Where, as_json: bool) -> None:
    """Read a whole store, and check it.

    \b
    Examples:
      aios memory verify --store runs/notes
    """  # noqa: D301  # \b is for click
    with where.open(read=True) as store:
        print_facts({"sound": True, "rows": store.verify()}, as_json=as_json)


@click.command()
@store_options
def compact(*, where: Where, as_json: bool) -> None:
    """Free the space of deleted rows, and update the indexes.

    \b
    Examples:
      aios memory compact --store runs/notes
    """  # noqa: D301  # \b is for click
    with where.open() as store:
        before = store.stats().bytes
        store.compact()
        print_facts({"bytes_before": before, "bytes": store.stats().bytes}, as_json=as_json)


@click.command()
@click.argument("target", metavar="TO")
@store_options
def snapshot(*, target: str, where: Where, as_json: bool) -> None:
    """Copy a store to TO, a new place; the copy is a store of its own.

    Other processes may write meanwhile; the copy holds what was there at the beginning.

    \b
    Examples:
      aios memory snapshot runs/notes.tuesday --store runs/notes
    """  # noqa: D301  # \b is for click
    with where.open(read=True) as store:
        store.snapshot(where.beside(target))
        print_facts({"rows": store.count(), "snapshot": redacted(target)}, as_json=as_json)


@click.command()
@click.argument("source", metavar="FROM")
@store_options
def restore(*, source: str, where: Where, as_json: bool) -> None:
    """Replace all rows of a store by those of its snapshot FROM, in one step.

    \b
    Examples:
      aios memory restore runs/notes.monday --store runs/notes
    """  # noqa: D301  # \b is for click
    with where.open() as store:
        before = store.count()
        store.restore(where.beside(source))
        print_facts({"rows_before": before, "rows": store.count()}, as_json=as_json)
