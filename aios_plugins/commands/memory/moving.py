"""`aios memory export` and `migrate`: rows that leave a store."""

from __future__ import annotations

from pathlib import Path

import click

from aios_core.cli.common import json_option, set_option
from aios_core.redaction import redacted
from aios_plugins.commands._common import overwrite_option, print_facts, progress
from aios_plugins.commands.memory.place import Where, config_option, filter_option, store_options


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@store_options
@filter_option
@click.option(
    "--column",
    "columns",
    metavar="NAME",
    multiple=True,
    help="Write this column; may be repeated.  [default: all, the vectors included]",
)
@overwrite_option
def export(
    *,
    file: Path,
    where: Where,
    filter: str | None,
    columns: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write all rows, or those that match a filter, to FILE: .parquet or .jsonl.

    `aios memory add` can make the same store of it again: the file records which embedding made the
    vectors. Parquet also keeps the types of all columns and the metric, even without rows.

    \b
    Examples:
      aios memory export runs/notes.parquet --store runs/notes
      aios memory export runs/recent.jsonl --store runs/notes --filter "year >= 2024"
      aios memory export runs/texts.jsonl --store runs/notes --column id --column text
    """  # noqa: D301  # \b is for click
    from aios_plugins.commands.memory.exporting import export_file

    with where.open(read=True) as store:
        with progress(f"writing {file.name}", store.count(filter)) as on_progress:
            count = export_file(
                store,
                file,
                filter=filter,
                columns=columns,
                overwrite=overwrite,
                on_progress=on_progress,
            )
        print_facts({"rows": count, "file": str(file)}, as_json=as_json)


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@config_option
@set_option
@json_option
def migrate(
    *, source: str, target: str, config: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Copy the store FROM to TO, and compare each row with its copy.

    Each is a folder, or TYPE:URI as in lancedb:notes. The same command continues a migration that
    was interrupted; until it is complete, no other command opens a folder that it made.

    \b
    Examples:
      aios memory migrate runs/notes lancedb:runs/notes.lance
    """  # noqa: D301  # \b is for click
    from aios_core.memory import open_store
    from aios_plugins.commands.memory.migrating import migrate, target_of

    from_, to = (Where(text, config, overrides).place() for text in (source, target))
    with (
        open_store(from_, read=True) as old,
        target_of(old, from_, to) as new,
        progress(f"moving to {redacted(target)}", 2 * old.count()) as on_progress,
    ):
        done = migrate(old, new, advance=on_progress)
    print_facts({"rows": done.rows, "copied": done.copied, "verified": True}, as_json=as_json)
