"""Readings of texts at several shares of masks, and the estimators that measure them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aios_core.component import blamed
from aios_core.contracts import MaskLevel
from aios_core.diffusion.random import row_seed
from aios_core.errors import InferenceError, PluginError

if TYPE_CHECKING:
    from aios_core.contracts import Sequences, UncertaintyEstimator
    from aios_core.diffusion.model import Model
    from aios_core.registry import Registry

logger = logging.getLogger(__name__)

RATES: Final = (0.9, 0.7, 0.5, 0.3, 0.1)
"""Shares of masks at which a text is read, each the middle of a bucket of times."""

DEFAULT: Final = "residual"
"""Estimator that decides, unless another is named: of texts that are given, the one that foresees
their error best (BENCHMARKS.md). It is given the tokens; the others foresee less, without."""

Estimators = Mapping[str, "UncertaintyEstimator"]
"""By registry name."""

Scores = dict[str, NDArray[np.float64]]
"""By estimator: (N, R) means over the hidden tokens of each text, at each share of masks."""


def estimators(registry: Registry) -> Estimators:
    """Every estimator that plugins offer; one that cannot be used is logged and left out.

    Which there are changes no number of any of them.

    Args:
        registry: where they are looked up.
    """
    made: dict[str, UncertaintyEstimator] = {}
    for component in registry.components("uncertainty"):
        try:
            made[component.name] = _built(registry, component.name)
        except PluginError as error:
            logger.warning("estimator left out: %s", error)
    return made


def estimator(registry: Registry, name: str = DEFAULT) -> UncertaintyEstimator:
    """One estimator.

    Args:
        registry: where it is looked up.
        name: its registry name.

    Raises:
        InferenceError: there is none of that name, or it cannot be used.
    """
    try:
        return _built(registry, name)
    except PluginError as error:
        known = [component.name for component in registry.components("uncertainty")]
        if name in known:
            raise InferenceError(f"estimator {name!r} cannot be used: {error}") from error
        raise InferenceError(f"estimator {name!r} is unknown; expected one of {known}") from error


def _built(registry: Registry, name: str) -> UncertaintyEstimator:
    cls = registry.get("uncertainty", name).load()
    with blamed(cls, "__init__"):
        made: UncertaintyEstimator = cls()
    return made


@torch.no_grad()
def read(
    model: Model,
    texts: Sequences,
    *,
    counted: Tensor | None = None,
    seed: int = 0,
    rates: Sequence[float] = RATES,
) -> Iterator[MaskLevel]:
    """Hide texts at one share of masks after the other, and ask the network each time.

    Args:
        model: a diffusion model under masks.
        texts: B of them on the CPU, at least one target in each; what they give is not hidden.
        counted: (B, L) bool, at least one target of a row: of these something is to be said; None:
            all.
        seed: decides what is hidden, with the tokens of a row alone: equal texts hide the same.
        rates: falling.

    Yields:
        A level for each rate; at least one counted token of a row is hidden at each.

    Raises:
        InferenceError: the network cannot be asked so.
    """
    if model.mode != "diffusion" or not model.process.absorbing or model.in_blocks:
        raise InferenceError(
            "uncertainty is measured by hiding tokens; expected a diffusion model under masks, not "
            "in blocks"
        )
    ids = texts.ids
    u = torch.full(ids.shape, torch.inf)
    for row, text, there, target in zip(u, ids, texts.valid, texts.targets, strict=True):
        digest = hashlib.sha256(text[there].numpy().tobytes()).digest()
        generator = torch.Generator().manual_seed(row_seed(seed, int.from_bytes(digest[:8], "big")))
        row[target] = torch.rand(int(target.sum()), generator=generator)
    # The first of a row is always hidden, so that there is something to say of few tokens.
    order = u if counted is None else u.masked_fill(~counted, torch.inf)
    first = torch.zeros_like(ids, dtype=torch.bool)
    first = first.scatter_(1, order.argmin(1, keepdim=True), value=True) & texts.targets
    condition = texts.condition(model.place)
    before = torch.full_like(ids, -1)
    for number, rate in enumerate(rates):
        hidden = (u < rate) | first  # what is given has no number
        z = model.place(torch.where(hidden, model.vocabulary.mask_id, ids))
        t = model.noise.inverse(torch.tensor([1 - rate], dtype=torch.float64)).expand(len(ids))
        where = model.place(hidden)
        h = model.denoiser(condition).states(z, model.place(t), 0, ids.shape[1])[where]
        log_probs = model.log_probs(h)
        said = model.place(before[hidden]) if number else None
        yield MaskLevel(rate, where, model.place(ids[hidden]), log_probs, said)
        before[hidden] = log_probs.argmax(-1).cpu()


def scores(
    levels: Iterable[MaskLevel], estimators: Estimators, counted: Tensor | None = None
) -> Scores:
    """How unsure each estimator finds B texts, or the tokens of them that are counted.

    Args:
        levels: one after the other.
        estimators: by name.
        counted: (B, L) bool; None: all.
    """
    measures: dict[str, list[Tensor]] = {name: [] for name in estimators}
    for level in levels:
        for name, estimator in estimators.items():
            with blamed(estimator, "measure"):
                measured = estimator.measure(level)
            measures[name].append(level.mean(measured, counted).cpu())
    return {name: torch.stack(values, 1).numpy() for name, values in measures.items()}
