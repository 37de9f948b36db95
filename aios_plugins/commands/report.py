"""`aios report`: the report of an ablation, written again from what is stored."""

from __future__ import annotations

from pathlib import Path

import click
from attrs import frozen

from aios_core.contracts import Command


@click.command(name="report")
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--report",
    "names",
    metavar="NAME",
    multiple=True,
    help="Write this report, and not those of the configuration; may be repeated.",
)
def command(folder: Path, names: tuple[str, ...]) -> None:
    """Write the report of an ablation again.

    The reports in the folder DIR are replaced; nothing is trained or sampled. If the ablation is
    still running, or was interrupted, they show what there is so far.

    \b
    Examples:
      aios report runs/demo
      aios report runs/demo --report tables
    """  # noqa: D301  # \b is for click
    from aios_core.experiment import read, write_reports
    from aios_core.experiment.reports import reports_of

    results = read(folder)
    for report in reports_of(results, names):  # the tables, also where the page needs an extra
        for path in write_reports(results, [report]):
            click.echo(f"report: {path}")


@frozen
class Report(Command):
    """Write the report of an ablation again."""

    def build(self) -> click.Command:
        """The command."""
        return command
