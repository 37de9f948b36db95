"""Trained models made ready to write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from aios_core.config import resolve, training_key
from aios_core.errors import InferenceError
from aios_core.evolution.head import at_head
from aios_core.training.device import choose

if TYPE_CHECKING:
    from aios_core.training.checkpoint import Checkpoint


def ready(found: Checkpoint, overrides: Sequence[str], *, evolved: bool = False) -> Checkpoint:
    """A model on its device, under overrides, which must not touch what was trained.

    Args:
        found: as it was trained.
        overrides: ``key=value`` each.
        evolved: with the skills that its run has kept.

    Raises:
        InferenceError: they would.
    """
    resolved = resolve(found.state.values, overrides=overrides, registry=found.resolved.registry)
    if training_key(resolved) != training_key(found.resolved):
        raise InferenceError(
            f"--set {' '.join(overrides)}: would change what {found.folder} was trained with; "
            "want keys of [sampler] and [sampling] only"
        )
    model = at_head(found) if evolved else found.model
    model = model.to(choose(resolved.config.training)).eval()
    return attrs.evolve(found, model=model, resolved=resolved)
