"""What several commands of this folder share: options, output, a bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aios_core.cli.common import print_json

if TYPE_CHECKING:
    from aios_core.cli.common import Function


def overwrite_option(function: Function) -> Function:
    """The flag ``--overwrite``, which goes with `check_new`; the parameter ``overwrite``."""
    text = "Replace a file that exists already."
    return click.option("--overwrite", is_flag=True, help=text)(function)


def check_new(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace a file of a user who did not ask for it, before any work.

    Raises:
        UsageError: it is there.
    """
    if path.exists() and not overwrite:
        raise click.UsageError(f"{path} is there already; expected a new file, or --overwrite")


def print_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print names and values, a line each or as JSON."""
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        several = isinstance(value, dict)
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if several else value
        click.echo(f"{key.replace('_', ' ')}: {shown}")


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where that is a terminal; gives what advances it by so many parts."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total)
        yield lambda parts: bar.advance(task, parts)


@contextmanager
def tensor_bar(label: str, total: int | None = None) -> Iterator[Callable[[str], None]]:
    """A bar on stderr, where that is a terminal, for work that goes from tensor to tensor.

    Args:
        label: what is done.
        total: tensors; None where that is not known.

    Yields:
        A function to call with the name of each tensor that is done.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.fields[name]}"),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, name="")
        yield lambda name: bar.update(task, advance=1, name=name)
