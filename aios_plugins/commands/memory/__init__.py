"""`aios memory`: fill, search, check and move stores of memories.

The same from Python, with places of `aios_core.memory`: `importing.import_file` adds the rows of a
file to a store, `exporting.export_file` writes rows to a file, and `migrating.migrate` copies a
store into that of another backend, which `migrating.target_of` makes.
"""

from __future__ import annotations

import click
from attrs import frozen

from aios_core.contracts import Command
from aios_plugins.commands.memory.care import compact, restore, snapshot, stats, verify
from aios_plugins.commands.memory.listing import count, get, list_rows
from aios_plugins.commands.memory.moving import export, migrate
from aios_plugins.commands.memory.rows import add, delete
from aios_plugins.commands.memory.searching import search
from aios_plugins.commands.memory.updating import update


@click.group()
def command() -> None:
    """Fill, search, check and move stores of memories.

    A store is a folder of the backend `arrow`, unless --set storage.type or PLACE names another
    backend.

    \b
    Examples:
      aios memory add examples/notes.jsonl --store runs/notes
      aios memory search --store runs/notes "how the gate decides" -k 5
      aios memory snapshot runs/notes.monday --store runs/notes
      aios memory migrate runs/notes lancedb:runs/notes.lance
    """  # noqa: D301  # \b is for click


for _subcommand in (
    add,
    search,
    get,
    list_rows,
    count,
    update,
    delete,
    stats,
    verify,
    compact,
    snapshot,
    restore,
    export,
    migrate,
):
    command.add_command(_subcommand)


@frozen
class Memory(Command):
    """Fill, search, check and move stores of memories."""

    def build(self) -> click.Command:
        """The command."""
        return command
