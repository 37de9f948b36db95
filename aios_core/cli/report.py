"""`aios report`: the report of an ablation, written again from what is stored."""

from __future__ import annotations

from pathlib import Path

import click

from aios_core.cli.ablate import require_extra


@click.command(name="report")
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
def command(folder: Path) -> None:
    """Write the report of an ablation again.

    The tables and report.html in the folder DIR are replaced; nothing is trained or sampled. If the
    ablation is still running, or was interrupted, the report shows what there is so far.

    \b
    Examples:
      aios report runs/demo
    """  # noqa: D301  # \b is for click
    require_extra("aios report")
    from aios_core.experiment.report import write_report
    from aios_core.experiment.results import read

    click.echo(f"report: {write_report(read(folder))}")
