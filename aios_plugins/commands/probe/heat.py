"""A heat map of a table: tensors down, measures across, each column on its own scale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aios_core.errors import MissingExtraError
from aios_core.files import new_file


def heat_map(table: Mapping[str, Mapping[str, float | None]], path: Path) -> None:
    """Draw it into a file; what has no value stays grey.

    Args:
        table: row to column to value.
        path: PNG, SVG or PDF by its suffix.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("a heat map", "ablate", str(error.name)) from error
    import numpy as np

    columns = list(dict.fromkeys(name for row in table.values() for name in row))
    cells = [[row.get(name) for name in columns] for row in table.values()]
    values = np.array([[np.nan if c is None else c for c in row] for row in cells], float)
    ranks = np.full(values.shape, np.nan)
    for number in range(len(columns)):
        known = np.isfinite(values[:, number])
        order = values[known, number].argsort().argsort()
        ranks[known, number] = order / max(1, known.sum() - 1)
    figure = Figure(figsize=(2.5 + 0.6 * len(columns), 1.5 + 0.22 * len(table)), layout="tight")
    axes = figure.subplots()
    axes.set_facecolor("0.85")
    axes.imshow(ranks, aspect="auto", cmap="viridis", interpolation="nearest")
    axes.set_xticks(range(len(columns)), columns, rotation=60, ha="right", fontsize=7)
    axes.set_yticks(range(len(table)), list(table), fontsize=6)
    axes.set_title("Rank within each column: bright is high", fontsize=8)
    with new_file(path) as temporary:
        figure.savefig(temporary, dpi=150)
