"""`aios probe`: look at the tensors of a model, and at what is different between two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
from attrs import frozen

from aios_core.cli.common import json_option, print_json, print_table
from aios_core.cli.network import network_argument
from aios_core.contracts import Command
from aios_plugins.commands._common import check_new, overwrite_option, tensor_bar

if TYPE_CHECKING:
    from aios_plugins.evolution.probe import Row

_path = click.Path(path_type=Path, exists=True)


@click.command()
@network_argument("source", "RUN|FILE", _path)
@click.option(
    "--against",
    metavar="RUN|FILE",
    type=_path,
    help="Show the differences to the tensors of another run or file.",
)
@click.option(
    "--data",
    is_flag=True,
    help="Measure gradients and Fisher information too, on texts of the RUN.",
)
@click.option(
    "--quantizer",
    metavar="NAME",
    help="Measure the errors of this quantizer too; with --data, also how much they raise the "
    "loss.",
)
@click.option(
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    help="Show only this column; may be repeated.",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the table to a .parquet file.",
)
@click.option(
    "--heatmap",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Draw the table into a .png, .svg or .pdf file.",
)
@overwrite_option
@json_option
def command(
    *,
    source: Path,
    against: Path | None,
    data: bool,
    quantizer: str | None,
    metrics: tuple[str, ...],
    output: Path | None,
    heatmap: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Measure the tensors of a model: norms, ranks, spectra, outliers, gradients.

    RUN is the folder of a run, FILE any file of tensors that `aios weights` reads. The spectral
    exponent alpha needs 50 eigenvalues or more; with fewer its column is empty.

    \b
    Examples:
      aios probe runs/text
      aios probe runs/text --data --quantizer rtn --heatmap runs/probe.png
      aios probe runs/text --against runs/first --metric norm --metric alpha
    """  # noqa: D301  # \b is for click
    for option, file, suffixes in (
        ("--output", output, (".parquet",)),
        ("--heatmap", heatmap, (".png", ".svg", ".pdf")),
    ):
        if file is not None and file.suffix.lower() not in suffixes:
            raise click.UsageError(
                f"{option}: expected a name that ends with {' or '.join(suffixes)}, got {file}"
            )
        if file is not None:
            check_new(file, overwrite=overwrite)
    rows = _rows(source, data=data, quantizer=quantizer)
    known = dict.fromkeys(row.metric for row in rows)
    if unknown := [name for name in metrics if name not in known]:
        raise click.UsageError(
            f"--metric {unknown[0]}: expected one of {', '.join(known)}, got {unknown[0]}"
        )
    if against is not None:
        rows = _difference(rows, _rows(against, data=data, quantizer=quantizer))
    rows = [row for row in rows if not metrics or row.metric in metrics]
    if output is not None:
        _write(rows, output)
    if heatmap is not None:
        from aios_plugins.commands.probe.heat import heat_map

        heat_map(_table(rows), heatmap)
    if as_json:
        print_json([attrs.asdict(row) for row in rows])
        return
    table = _table(rows)
    columns = list(dict.fromkeys(row.metric for row in rows))
    cells = [
        (name, *("" if (v := own.get(c)) is None else f"{v:.4g}" for c in columns))
        for name, own in table.items()
    ]
    print_table(("tensor", *columns), cells)


def _rows(source: Path, *, data: bool, quantizer: str | None) -> list[Row]:
    from aios_core.errors import EvolutionError
    from aios_plugins.evolution.probe import (
        probe,
        quantization_errors,
        quantization_sensitivity,
        with_data,
    )

    tensors, trained = _tensors(source)
    with tensor_bar("probing", len(tensors)) as on_progress:
        rows: list[Row] = []
        for name, tensor in tensors.items():
            rows += probe({name: tensor})
            on_progress(name)
    if data:
        if trained is None:
            raise EvolutionError(f"{source}: gradients need a model and its texts; expected a run")
        from aios_core.training.measured import own

        texts = own(trained).held_out.sequences(trained.model.length, 96)
        rows += with_data(trained.model, texts)
    if quantizer is not None:
        from aios_core.config.resolve import section

        chosen, _ = section("quantizer", values={"type": quantizer})
        rows += quantization_errors(tensors, chosen)
        if data:
            rows += quantization_sensitivity(trained.model, texts, chosen)
    return rows


def _tensors(source: Path) -> tuple[dict[str, Any], Any]:
    if source.is_dir():
        from aios_core.training import checkpoint

        trained = checkpoint.load(source)
        return checkpoint.named_tensors(trained.model), trained
    from aios_core.formats import open_tensors
    from aios_plugins.commands._tensors import dequantized

    opened = dequantized(open_tensors(source))
    return {name: opened.get(name) for name in opened.names}, None


def _table(rows: Sequence[Row]) -> dict[str, dict[str, float | None]]:
    table: dict[str, dict[str, float | None]] = {}
    for row in rows:
        table.setdefault(row.tensor, {})[row.metric] = row.value
    return table


def _difference(rows: list[Row], others: list[Row]) -> list[Row]:
    """What the second has more than the first, where both have a value."""
    there = {(row.tensor, row.metric): row.value for row in others}
    changes = []
    for row in rows:
        value = there.get((row.tensor, row.metric))
        if row.value is not None and value is not None:
            changes.append(attrs.evolve(row, value=value - row.value))
    return changes


def _write(rows: list[Row], output: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from aios_core.files import new_file

    table = pa.Table.from_pylist([attrs.asdict(row) | {"shape": list(row.shape)} for row in rows])
    with new_file(output) as temporary:
        pq.write_table(table, temporary)


@frozen
class Probe(Command):
    """Measure the tensors of a model: norms, ranks, spectra, outliers, gradients."""

    def build(self) -> click.Command:
        """The command."""
        return command
