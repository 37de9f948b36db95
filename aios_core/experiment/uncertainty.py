"""Calibrates the uncertainty of a run, and measures what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from attrs import frozen

from aios_core.diffusion.objective import nelbo
from aios_core.diffusion.times import draw_times
from aios_core.diffusion.uncertainty import ESTIMATORS, RATES, Level, read
from aios_core.errors import DataError
from aios_core.experiment.evaluate import Subject
from aios_core.inference.calibration import (
    FEWEST,
    NAME,
    Calibration,
    Scores,
    Temperatures,
    scores,
)
from aios_core.training import checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from aios_core.diffusion.model import Model

BINS: Final = 10
"""Of confidence, equally wide."""
DRAWS: Final = 8
"""Noisy states of a text for its NELBO."""


@frozen(eq=False)
class Tokens:
    """Predictions of hidden tokens at one share of masks."""

    rate: float
    confidence: NDArray[np.float64]
    """(N,) probability of the likeliest token."""
    right: NDArray[np.bool_]
    """(N,) whether that stands there."""
    nats: float
    """Mean of -log p of what stands there."""

    @property
    def bins(self) -> list[tuple[float, float, int]]:
        """Of each bin that has any: mean confidence, share that is right, and how many."""
        which = np.minimum((self.confidence * BINS).astype(int), BINS - 1)
        return [
            (float(self.confidence[at].mean()), float(self.right[at].mean()), int(at.sum()))
            for at in (which == number for number in range(BINS))
            if at.any()
        ]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance of the two over tokens (arXiv 1706.04599)."""
        return sum(n * abs(sure - right) for sure, right, n in self.bins) / len(self.right)


@frozen(eq=False)
class Part:
    """What was found in some texts."""

    found: Scores
    """Under the temperatures."""
    error: NDArray[np.float64]
    """(N,) NELBO in nats a token, on noise of its own."""
    wrong: NDArray[np.float64]
    """(N,) share of hidden tokens that are not the likeliest, the mean over levels."""
    plain: tuple[Tokens, ...]
    """By share of masks, without temperatures."""
    tempered: tuple[Tokens, ...]
    """With."""


def calibrate_run(
    folder: Path,
    *,
    against: Path | None = None,
    windows: int = 256,
    told: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Calibrate on half of the held-out texts, and measure on the other half.

    Writes ``uncertainty.json``, the calibration, into the folder.

    Args:
        folder: of a run.
        against: a file of texts of another kind; how well errors there are foreseen is measured.
        windows: most texts of each half, and of the others.
        told: called with a number of texts that were read.

    Returns:
        Plain data: what the report shows.

    Raises:
        InferenceError: the model's uncertainty cannot be measured.
        DataError: there are too few held-out texts, or the others cannot be read.
    """
    found = checkpoint.load(folder)
    subject = Subject.of(found, found.resolved)
    length = subject.config.diffusion.length
    ids, valid = subject.held_out.windows(length)
    first, second = halves(ids[valid.all(-1)], windows)
    if len(first) < FEWEST:
        raise DataError(
            f"{2 * len(first)} held-out texts of {length} tokens are too few; expected at least "
            f"{2 * FEWEST}, of which half decide from where on a text is unsure"
        )
    temperatures = Temperatures()
    for levels in _levels(subject.model, first, seed=0, told=told):
        for level in levels:
            temperatures.add(level)
    fitted = temperatures.fitted()
    own = _part(subject, second, fitted, 1, told)
    kept = helpful(fitted, own)
    if kept != fitted:
        own = _part(subject, second, kept, 1, lambda _: None)
    calibration = Calibration.of(
        found.state.training_key, kept, _part(subject, first, kept, 0, told).found
    )
    calibration.save(folder / NAME)
    other = None
    if against is not None:
        foreign = subject.tokenizer.encode(against.read_text(encoding="utf-8"))
        count = len(foreign) // length
        if not count:
            raise DataError(f"{against}: has {len(foreign)} tokens; expected at least {length}")
        rows = torch.from_numpy(foreign[: count * length].astype(np.int64)).view(count, length)
        other = _part(subject, _spread(rows, len(first)), kept, 2, told)
    return summary(calibration, own, other, fitted)


def helpful(fitted: tuple[float, ...], measured: Part) -> tuple[float, ...]:
    """Temperatures, with 1 for each that makes texts it was not fitted on less likely.

    Args:
        fitted: one for each share of masks.
        measured: of other texts, under these.
    """
    pairs = zip(fitted, measured.plain, measured.tempered, strict=True)
    return tuple(one if after.nats <= before.nats else 1.0 for one, before, after in pairs)


def summary(
    calibration: Calibration, own: Part, other: Part | None, fitted: tuple[float, ...]
) -> dict[str, Any]:
    """What a report shows of texts like those of the training, and of others."""
    totals = calibration.total(own.found)
    others = calibration.total(other.found) if other else {}
    errors = np.concatenate([own.error, *([other.error] if other else [])])
    estimators = {}
    for name in ESTIMATORS:
        both = np.concatenate([totals[name], *([others[name]] if others else [])])
        threshold = calibration.thresholds[name]
        estimators[name] = {
            "threshold": threshold,
            "false_triggers": float((totals[name] > threshold).mean()),
            "triggers_on_others": float((others[name] > threshold).mean()) if others else None,
            "rank_correlation_own": rank_correlation(totals[name], own.error),
            "rank_correlation": rank_correlation(both, errors) if others else None,
            "own": totals[name].tolist(),
            "others": others[name].tolist() if others else [],
        }
    confidence = np.concatenate([one.confidence for one in own.tempered])
    right = np.concatenate([one.right for one in own.tempered])
    return {
        "texts": {
            "calibration": calibration.texts,
            "own": len(own.error),
            "others": len(other.error) if other else 0,
        },
        "error": {"own": own.error.tolist(), "others": other.error.tolist() if other else []},
        "wrong": float(own.wrong.mean()),
        "estimators": estimators,
        "levels": [
            {
                "rate": rate,
                "temperature": calibration.temperatures[number],
                "temperature_fitted": fitted[number],
                "nats_before": own.plain[number].nats,
                "nats_after": own.tempered[number].nats,
                "ece_before": own.plain[number].ece,
                "ece_after": own.tempered[number].ece,
                "bins_before": own.plain[number].bins,
                "bins_after": own.tempered[number].bins,
            }
            for number, rate in enumerate(RATES)
        ],
        "risk_coverage": risk_coverage(confidence, right),
    }


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Spearman's; None where one of them is the same everywhere, so that it has none."""
    from scipy.stats import spearmanr

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(spearmanr(one, other).statistic)


def risk_coverage(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], points: int = 100
) -> dict[str, Any]:
    """Share that is wrong among the surest predictions, by how many of these are kept.

    Args:
        confidence: (N,).
        right: (N,).
        points: of the curve.

    Returns:
        ``coverage``, ``risk``, the area under that curve ``aurc`` (arXiv 1705.08500), and that of
        the best order there is, ``aurc_best``.
    """

    def curve(order: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(np.cumsum(~right[order]) / np.arange(1, len(order) + 1))

    risk = curve(np.argsort(-confidence, kind="stable"))
    at = np.linspace(0, len(risk) - 1, min(points, len(risk))).round().astype(int)
    return {
        "coverage": ((at + 1) / len(risk)).tolist(),
        "risk": risk[at].tolist(),
        "aurc": float(risk.mean()),
        "aurc_best": float(curve(np.argsort(~right, kind="stable")).mean()),
    }


def _part(
    subject: Subject,
    ids: Tensor,
    temperatures: Sequence[float],
    seed: int,
    told: Callable[[int], None],
) -> Part:
    """Read texts, and what becomes of them."""
    found: list[Scores] = []
    seen: list[list[tuple[Tensor, ...]]] = [[] for _ in RATES]
    wrong = []
    for levels in _levels(subject.model, ids, seed=seed, told=told):
        tempered, misses = [], []
        for number, (level, temperature) in enumerate(zip(levels, temperatures, strict=True)):
            after = level.tempered(temperature)
            tempered.append(after)
            right = level.log_probs.argmax(-1) == level.tokens
            misses.append(level.mean(~right))
            parts = (_sureness(level), _sureness(after), right, -level.said, -after.said)
            seen[number].append(tuple(part.cpu() for part in parts))
        found.append(scores(tempered))
        wrong.append(torch.stack(misses, 1).mean(1).cpu().numpy())
    joined = [[torch.cat(parts).numpy() for parts in zip(*level, strict=True)] for level in seen]
    rates = list(enumerate(RATES))
    return Part(
        found={name: np.concatenate([one[name] for one in found]) for name in ESTIMATORS},
        error=_error(subject.model, ids, seed=seed),
        wrong=np.concatenate(wrong),
        plain=tuple(_tokens(rate, *(joined[i][j] for j in (0, 2, 3))) for i, rate in rates),
        tempered=tuple(_tokens(rate, *(joined[i][j] for j in (1, 2, 4))) for i, rate in rates),
    )


def _levels(
    model: Model, ids: Tensor, *, seed: int, told: Callable[[int], None]
) -> Iterator[Iterator[Level]]:
    """Readings of some texts after the other."""
    for number, rows in enumerate(ids.split(32)):  # type: ignore[no-untyped-call]
        valid = torch.ones_like(rows, dtype=torch.bool)
        yield read(model, rows, valid, seed=seed * 100_003 + number)
        told(len(rows))


@torch.no_grad()
def _error(model: Model, ids: Tensor, *, seed: int) -> NDArray[np.float64]:
    """(N,) nats a token, by the NELBO."""
    generator = torch.Generator().manual_seed(seed + 1)
    valid, total = torch.ones_like(ids, dtype=torch.bool), torch.zeros(len(ids)).double()
    for _ in range(DRAWS):
        total += nelbo(model, ids, valid, draw_times(len(ids), generator), generator).cpu()
    nats: NDArray[np.float64] = (total / DRAWS / ids.shape[1]).numpy()
    return nats


def _sureness(level: Level) -> Tensor:
    """(N,) float64 probability of the likeliest token."""
    return level.log_probs.amax(-1).double().exp()


def _tokens(
    rate: float, sure: NDArray[np.float64], right: NDArray[np.bool_], nats: NDArray[np.float64]
) -> Tokens:
    return Tokens(rate, sure, right, float(nats.mean()))


def halves(rows: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """As many rows of each half, evenly spread over it; apart, for neighbours are alike."""
    middle = len(rows) // 2
    return _spread(rows[:middle], most), _spread(rows[len(rows) - middle :], most)


def _spread(rows: Tensor, count: int) -> Tensor:
    """So many rows, evenly spread."""
    return rows[torch.linspace(0, len(rows) - 1, min(count, len(rows))).round().long()]
