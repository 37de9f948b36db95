"""A study of calibration: what the uncertainty of a model is worth, on texts of two kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import torch
from attrs import frozen

from aios_core.diffusion.objective import nelbo
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.errors import DataError
from aios_plugins._uncertainty.calibration import FEWEST, Calibration, Temperatures
from aios_plugins._uncertainty.estimators import RATES, Estimators, Scores, read, scores

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from aios_core.contracts import MaskLevel, Sequences
    from aios_core.diffusion.model import Model

Rows = TypeVar("Rows", "Tensor", "Sequences")

BINS: Final = 10
"""Of confidence, equally wide."""
DRAWS: Final = 8
"""Noisy states of a text for its NELBO."""


@frozen(eq=False)
class TokenPredictions:
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
class TextMeasures:
    """What was measured of some texts."""

    scores: Scores
    """Under the temperatures."""
    error: NDArray[np.float64]
    """(N,) NELBO in nats a token, on noise of its own."""
    wrong: NDArray[np.float64]
    """(N,) share of hidden tokens that are not the likeliest, the mean over levels."""
    plain: tuple[TokenPredictions, ...]
    """By share of masks, without temperatures."""
    tempered: tuple[TokenPredictions, ...]
    """With."""


def study(
    model: Model,
    texts: Sequences,
    estimators: Estimators,
    *,
    training_key: str,
    windows: int = 256,
    others: Sequences | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> tuple[Calibration, dict[str, Any]]:
    """Calibrate on half of the held-out texts, and measure on the other half.

    Args:
        model: a diffusion model under masks.
        texts: held-out ones on the CPU, each by itself in a sequence.
        estimators: at least one; each is calibrated.
        training_key: of the run that the model is of.
        windows: most texts of each half, and of the others.
        others: likewise, of another kind; how well errors there are foreseen is measured.
        on_progress: called with a number of texts that were read.

    Returns:
        The calibration, and plain data: what the report shows.

    Raises:
        InferenceError: the model's uncertainty cannot be measured.
        DataError: there are too few texts.
    """
    first, second = halves(texts, windows)
    if len(first) < FEWEST:
        raise DataError(
            f"{2 * len(first)} held-out texts of at most {texts.ids.shape[1]} tokens are too few; "
            f"expected at least {2 * FEWEST}, of which half decide from where on a text is unsure"
        )
    temperatures = Temperatures()
    for levels in _levels(model, first, seed=0, on_progress=on_progress):
        for level in levels:
            temperatures.add(level)
    fitted = temperatures.fitted()
    own = _measure(model, second, estimators, fitted, seed=1, on_progress=on_progress)
    kept = helpful(fitted, own)
    if kept != fitted:
        own = _measure(model, second, estimators, kept, seed=1, on_progress=lambda _: None)
    calibration = Calibration.of(
        training_key,
        kept,
        _measure(model, first, estimators, kept, seed=0, on_progress=on_progress).scores,
    )
    other = None
    if others is not None:
        spread = _spread(others, len(first))
        other = _measure(model, spread, estimators, kept, seed=2, on_progress=on_progress)
    return calibration, summary(calibration, own, other, fitted)


def helpful(fitted: tuple[float, ...], measured: TextMeasures) -> tuple[float, ...]:
    """Temperatures, with 1 for each that makes texts it was not fitted on less likely.

    Args:
        fitted: one for each share of masks.
        measured: of other texts, under these.
    """
    pairs = zip(fitted, measured.plain, measured.tempered, strict=True)
    return tuple(
        temperature if after.nats <= before.nats else 1.0 for temperature, before, after in pairs
    )


def summary(
    calibration: Calibration,
    own: TextMeasures,
    other: TextMeasures | None,
    fitted: tuple[float, ...],
) -> dict[str, Any]:
    """What a report shows of texts like those of the training, and of others."""
    totals = calibration.total(own.scores)
    others = calibration.total(other.scores) if other else {}
    errors = np.concatenate([own.error, *([other.error] if other else [])])
    by_name = {}
    for name in calibration.thresholds:
        both = np.concatenate([totals[name], *([others[name]] if others else [])])
        threshold = calibration.thresholds[name]
        by_name[name] = {
            "threshold": threshold,
            "false_triggers": float((totals[name] > threshold).mean()),
            "triggers_on_others": float((others[name] > threshold).mean()) if others else None,
            "rank_correlation_own": rank_correlation(totals[name], own.error),
            "rank_correlation": rank_correlation(both, errors) if others else None,
            "own": totals[name].tolist(),
            "others": others[name].tolist() if others else [],
        }
    confidence = np.concatenate([level.confidence for level in own.tempered])
    right = np.concatenate([level.right for level in own.tempered])
    return {
        "texts": {
            "calibration": calibration.texts,
            "own": len(own.error),
            "others": len(other.error) if other else 0,
        },
        "error": {"own": own.error.tolist(), "others": other.error.tolist() if other else []},
        "wrong": float(own.wrong.mean()),
        "estimators": by_name,
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


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Spearman's; None where one of them is the same everywhere, so that it has none."""
    from scipy.stats import spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)


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


def _measure(
    model: Model,
    texts: Sequences,
    estimators: Estimators,
    temperatures: Sequence[float],
    *,
    seed: int,
    on_progress: Callable[[int], None],
) -> TextMeasures:
    """Read texts, and what becomes of them."""
    measured: list[Scores] = []
    seen: list[list[tuple[Tensor, ...]]] = [[] for _ in RATES]
    wrong = []
    for levels in _levels(model, texts, seed=seed, on_progress=on_progress):
        tempered, misses = [], []
        for number, (level, temperature) in enumerate(zip(levels, temperatures, strict=True)):
            after = level.tempered(temperature)
            tempered.append(after)
            right = level.log_probs.argmax(-1) == level.tokens
            misses.append(level.mean(~right))
            parts = (_sureness(level), _sureness(after), right, -level.said, -after.said)
            seen[number].append(tuple(part.cpu() for part in parts))
        measured.append(scores(tempered, estimators))
        wrong.append(torch.stack(misses, 1).mean(1).cpu().numpy())
    joined = [[torch.cat(parts).numpy() for parts in zip(*level, strict=True)] for level in seen]
    rates = list(enumerate(RATES))
    return TextMeasures(
        scores={name: np.concatenate([text[name] for text in measured]) for name in estimators},
        error=_error(model, texts, seed=seed),
        wrong=np.concatenate(wrong),
        plain=tuple(_tokens(rate, *(joined[i][j] for j in (0, 2, 3))) for i, rate in rates),
        tempered=tuple(_tokens(rate, *(joined[i][j] for j in (1, 2, 4))) for i, rate in rates),
    )


def _levels(
    model: Model, texts: Sequences, *, seed: int, on_progress: Callable[[int], None]
) -> Iterator[Iterator[MaskLevel]]:
    """Readings of some texts after the other."""
    for number, start in enumerate(range(0, len(texts), 32)):
        rows = texts[start : start + 32]
        yield read(model, rows, seed=seed * 100_003 + number)
        on_progress(len(rows))


@torch.no_grad()
def _error(model: Model, texts: Sequences, *, seed: int) -> NDArray[np.float64]:
    """(N,) nats a token, by the NELBO."""
    generator = torch.Generator().manual_seed(seed + 1)
    count, length = texts.ids.shape
    random, total = RowRandom.numbered(seed + 1, range(count), length), torch.zeros(count).double()
    for _ in range(DRAWS):
        total += nelbo(model, texts, draw_times(count, generator), random).cpu()
    nats: NDArray[np.float64] = (total / DRAWS / texts.sizes).numpy()
    return nats


def _sureness(level: MaskLevel) -> Tensor:
    """(N,) float64 probability of the likeliest token."""
    return level.log_probs.amax(-1).double().exp()


def _tokens(
    rate: float, sure: NDArray[np.float64], right: NDArray[np.bool_], nats: NDArray[np.float64]
) -> TokenPredictions:
    return TokenPredictions(rate, sure, right, float(nats.mean()))


def halves(rows: Rows, most: int) -> tuple[Rows, Rows]:
    """As many rows of each half, evenly spread over it; apart, for neighbours are alike."""
    middle = len(rows) // 2
    return _spread(rows[:middle], most), _spread(rows[len(rows) - middle :], most)


def _spread(rows: Rows, count: int) -> Rows:
    """So many rows, evenly spread."""
    return rows[torch.linspace(0, len(rows) - 1, min(count, len(rows))).round().long()]
