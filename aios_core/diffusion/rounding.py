"""Shapes of products that leave a row's numbers as they are, whatever its batch mates.

A BLAS works in tiles of a few rows, and rows of a tile that is not full take another kernel, which
rounds differently; attention rounds differently with each number of keys. So on the CPU the rows of
every product are a multiple of a tile, and a row is read in a width that follows from itself alone.
A graphics card chooses kernels by shapes that are not known here: there nothing is rounded up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own custom

if TYPE_CHECKING:
    from torch import Tensor

TILE: Final = 4
"""Rows of a tile: of MKL in float32, float64 and bfloat16, with 1 to 8 threads, by measurement."""


def tile(device: torch.device) -> int:
    """Of what the number of rows of a product is a multiple on a device."""
    return TILE if device.type == "cpu" else 1


def up(number: int, multiple: int) -> int:
    """The smallest multiple that is not below a number."""
    return -(-number // multiple) * multiple


def filled(h: Tensor, multiple: int) -> Tensor:
    """Rows (N, ...) with as many of zeros behind them as make a multiple."""
    missing = up(len(h), multiple) - len(h)
    return F.pad(h, (0, 0) * (h.ndim - 1) + (0, missing)) if missing else h


def repeated(places: Tensor, multiple: int) -> Tensor:
    """Numbers (N,), N at least 1, with as many times the first behind them as make a multiple."""
    missing = up(len(places), multiple) - len(places)
    return torch.cat((places, places[:1].expand(missing))) if missing else places


def widened(x: Tensor, width: int, token: int) -> Tensor:
    """A state (B, L) as (B, width), a token in every place that is new; or without its last."""
    missing = width - x.shape[1]
    return F.pad(x, (0, missing), value=token) if missing > 0 else x[:, :width]


def seen(valid: Tensor | None, x: Tensor, stop: int, width: int) -> Tensor | None:
    """Which positions of rows (B, width) are text.

    Args:
        valid: (B, L) bool, or None where all are.
        x: (B, L), the rows.
        stop: where they end at the latest, at most L.
        width: at least ``stop``.

    Returns:
        (B, width) bool, or None where all are and it is not known otherwise.
    """
    if valid is None:
        if stop == width:
            return None
        valid = torch.ones_like(x, dtype=torch.bool)
    return F.pad(valid[:, :stop], (0, width - stop), value=False)


def widths(valid: Tensor) -> dict[int, Tensor]:
    """Rows by the width that they are read in, which follows from the length of each alone.

    Args:
        valid: (B, L) bool, at least one in each row.

    Returns:
        From each width, rising, to its rows, (n,) int64.
    """
    places = torch.arange(1, valid.shape[1] + 1, device=valid.device)
    multiple = tile(valid.device)
    lengths = (places * valid).amax(-1).tolist()
    rows: dict[int, list[int]] = {}
    for row, length in enumerate(lengths):
        rows.setdefault(up(length, multiple), []).append(row)
    return {width: torch.tensor(rows[width], device=valid.device) for width in sorted(rows)}
