"""Screening: score texts by how unsure a model is of them, and store the uncertain ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import frozen

from aios_core.contracts import store_schema
from aios_core.errors import InferenceError, ModelLoadError, TokenizerError
from aios_core.memory import Embedder, open_store, with_embedding_metadata
from aios_core.memory.opening import embedder_of
from aios_plugins._uncertainty.calibration import NAME, Calibration
from aios_plugins._uncertainty.estimators import DEFAULT, Scores, estimators, read, scores
from aios_plugins._uncertainty.estimators import estimator as estimator_of
from aios_plugins.commands.uncertainty.windows import begin_of, cut

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.config import Resolved
    from aios_core.contracts import Sequences
    from aios_core.memory import Place
    from aios_core.training.checkpoint import Checkpoint


_ROWS = 64
"""Windows that are read at once."""


@frozen
class TextScore:
    """How unsure a model is of a text."""

    text: str
    score: float
    """Standard deviations above what is usual for texts like those of the training."""
    threshold: float
    triggered: bool
    """Whether the score is above the threshold."""
    estimators: dict[str, float]
    """The scores by all estimators that the run was calibrated for."""
    noise: float
    """Standard error of the score, by how far the readings differ."""
    windows: int
    """How many windows, as long as the texts of the training, the text fills."""


def score_texts(
    model: Checkpoint,
    texts: Sequence[str],
    *,
    estimator: str = DEFAULT,
    span: slice = slice(None),
    readings: int = 4,
    seed: int = 0,
) -> tuple[TextScore, ...]:
    """Score texts by the calibration of a run.

    It was made with texts as long as those of the training: shorter ones vary more, so more of them
    trigger. A longer one is read by windows, each of which counts by its tokens. Where the network
    has learned where documents begin, a begin token stands in front of each text.

    Args:
        model: of a run that was calibrated, on its device.
        texts: to score, at least one token each.
        estimator: whose threshold decides.
        span: which tokens of each text count, as a slice of its own; the others are hidden and
            shown like them.
        readings: how often each text is read, on noise of its own; at least two.
        seed: of that noise.

    Raises:
        InferenceError: a text has no token, or none in the span, or where a span counts more than
            texts of the training, the estimator is unknown, or the model cannot be asked.
        ModelLoadError: the run was not calibrated, not for that estimator, or was trained anew
            since.
    """
    registry = model.resolved.registry
    estimator_of(registry, estimator)
    if readings < 2:
        raise InferenceError(f"expected at least 2 readings of each text, got {readings}")
    run = model.run_folder
    calibration = Calibration.load(run / NAME)
    if calibration.training_key != model.state.training_key:
        raise ModelLoadError(
            f"{run / NAME}: is of another training than the model; expected `aios uncertainty "
            f"calibrate {run}` again"
        )
    offered = estimators(registry)
    used = {name: offered[name] for name in calibration.thresholds if name in offered}
    if estimator not in used:
        raise ModelLoadError(
            f"{run / NAME}: says nothing of the estimator {estimator!r}; expected `aios "
            f"uncertainty calibrate {run}` again"
        )
    windows, counted, owners = _windows(model, texts, span)
    read_out: list[Scores] = []
    for reading in range(readings):
        parts = []
        for at in range(0, len(windows), _ROWS):
            few, said = windows[at : at + _ROWS], counted[at : at + _ROWS]
            levels = read(model.model, few, counted=said, seed=seed * readings + reading)
            parts.append(scores(calibration.tempered(levels), used, said))
        read_out.append({n: np.concatenate([part[n] for part in parts]) for n in used})
    weights = np.zeros((len(texts), len(windows)))
    weights[owners, range(len(windows))] = windows.sizes
    weights /= weights.sum(1, keepdims=True)

    def by_text(scores: Scores) -> Scores:
        return {name: weights @ values for name, values in calibration.total(scores).items()}

    totals = by_text({n: np.mean([part[n] for part in read_out], axis=0) for n in used})
    each = np.stack([by_text(part)[estimator] for part in read_out])
    noise = each.std(0, ddof=1) / np.sqrt(readings)
    threshold = calibration.thresholds[estimator]
    return tuple(
        TextScore(
            text=text,
            score=float(totals[estimator][number]),
            threshold=threshold,
            triggered=bool(totals[estimator][number] > threshold),
            estimators={name: float(values[number]) for name, values in totals.items()},
            noise=float(noise[number]),
            windows=owners.count(number),
        )
        for number, text in enumerate(texts)
    )


def _windows(
    model: Checkpoint, texts: Sequence[str], span: slice
) -> tuple[Sequences, Tensor, list[int]]:
    """Windows of texts, row by row.

    Returns:
        B windows, (B, L) what counts of them, and the number of each one's text.
    """
    try:
        encoded = model.tokenizer.encode_each(list(texts))
    except (TokenizerError, TypeError, ValueError) as error:
        raise InferenceError(f"expected texts; {error}") from error
    begin, length = begin_of(model), model.model.length
    most = length - len(begin)
    for number, row in enumerate(encoded):
        if not len(row) or (span != slice(None) and len(row) > most):
            raise InferenceError(f"text {number + 1}: expected 1 to {most} tokens, got {len(row)}")
        if not range(len(row))[span]:
            raise InferenceError(
                f"text {number + 1}: expected a span of at least one of its {len(row)} tokens, got "
                f"{span}"
            )
    rows = [row.tolist() for row in encoded]
    windows, owners = cut(rows, length, begin, model.model.vocabulary)
    counted = torch.zeros_like(windows.targets)
    for part, targets in zip(counted, windows.targets, strict=True):
        part[targets.nonzero()[span]] = True
    return windows, counted, owners


def store_uncertain(texts: Sequence[TextScore], place: Place, resolved: Resolved) -> int:
    """Add the texts that triggered to a store, which is made where there is none.

    As rows with ``text``, ``kind`` = ``"doubt"`` and ``score``, each text once: evidence for
    ``aios evolve run --memories``, and memories like any others.

    Args:
        texts: as `score_texts` has them.
        place: of the store; one that is there has the columns above.
        resolved: its ``[embedding]`` makes the vectors of a new store.

    Returns:
        How many triggered.

    Raises:
        StorageError: the store cannot be written, has other columns, or does not say who made its
            vectors.
    """
    unsure = {scored.text: scored for scored in texts if scored.triggered}
    if not unsure:
        return 0
    provider = resolved.config.embedding
    schema = store_schema(provider.dim, {"kind": "string", "score": "float64"})
    schema = with_embedding_metadata(schema, provider, resolved.values["embedding"])
    new = not place.backend.exists(place.uri)
    vectors = Embedder(provider).embed(list(unsure)) if new else None  # before a store is made
    with open_store(place, schema=schema) as store:
        if vectors is None:
            vectors = embedder_of(store.schema, provider).embed(list(unsure))
        store.upsert(
            [
                {
                    "id": hashlib.sha256(text.encode()).hexdigest(),
                    "text": text,
                    "kind": "doubt",
                    "score": scored.score,
                    "vector": vector,
                }
                for (text, scored), vector in zip(unsure.items(), vectors, strict=True)
            ]
        )
    return len(unsure)
