"""What commands share: arguments, options, and how they print.

Commands of plugins may import it, as `aios_core.cli.network` and `aios_core.cli.numbers`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from rich.console import Console

_SURROGATE: Final = re.compile("[\ud800-\udfff]")

Function = TypeVar("Function", bound=Callable[..., Any])


class ExistingFile(click.Path):
    """The type of an option or an argument that is read as a file; in the words of all readers."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, unless it is a folder, or nothing is there."""
        from aios_core.files import no_file

        path: Any = super().convert(value, param, ctx)
        if wrong := no_file(path):
            self.fail(f"{path}: {wrong}; expected a file", param, ctx)
        return path


def config_argument(function: Function) -> Function:
    """The argument FILE, a configuration; the parameter ``file``."""
    kind = click.Path(path_type=Path)  # the reader says what is wrong with a missing file
    return click.argument("file", metavar="FILE", type=kind)(function)


def set_option(function: Function) -> Function:
    """The option ``--set KEY=VALUE``, as often as wanted; the parameter ``overrides``."""
    text = "Set one key of the configuration, as in sampler.steps=8; may be repeated."
    return click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help=text)(
        function
    )


def check_overrides(
    overrides: Sequence[str], options: Mapping[str, str], sections: Sequence[str] | None = None
) -> None:
    """Refuse what ``--set`` says in vain.

    Args:
        overrides: ``key=value`` each.
        options: keys, and the parameters of the command that set the same.
        sections: those that the command at hand looks at; None: all.

    Raises:
        UsageError: a key is of another section, or the option for it is given as well.
    """
    context, keys = click.get_current_context(), {own: key for key, own in options.items()}
    for override in overrides:
        key = override.partition("=")[0].strip()
        if sections is not None and key.partition(".")[0] not in sections:
            known = ", ".join(sections)
            raise click.UsageError(f"--set {override}: expected a key of {known}, got {key}")
        for parameter in context.command.params:
            name = keys.get(str(parameter.name))
            given = context.get_parameter_source(str(parameter.name))
            if name and given is ParameterSource.COMMANDLINE and f"{key}.".startswith(f"{name}."):
                raise click.UsageError(
                    f"{parameter.opts[-1]} and --set {override} set the same; expected one of them"
                )


def allow_changes_option(function: Function) -> Function:
    """The flag ``--allow-changes``; the parameter ``allow_changes``."""
    text = "Repeat a run.lock.toml even if its plugins have other versions now."
    return click.option("--allow-changes", is_flag=True, help=text)(function)


def json_option(function: Function) -> Function:
    """The flag ``--json``; the parameter ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(
        function
    )


def print_json(data: Any) -> None:
    """Print plain data as indented JSON; names that are no UTF-8 as escapes, which it can hold."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    if not text.isascii() and _SURROGATE.search(text):
        text = json.dumps(data, indent=2)
    click.echo(text)


def console() -> Console:
    """A rich console on stdout; it writes plain text where stdout is no terminal."""
    from rich.console import Console

    return Console(soft_wrap=not sys.stdout.isatty())


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, aligned plain lines elsewhere (rich stays unimported)."""
    if sys.stdout.isatty():
        from rich.table import Table
        from rich.text import Text

        table = Table(*columns)
        for row in rows:
            table.add_row(*map(Text, row))
        console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())
