"""Trained models made ready to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from aios_core.config import resolve, training_key
from aios_core.errors import InferenceError
from aios_core.training.device import choose
from aios_core.training.history import at, find

if TYPE_CHECKING:
    from aios_core.inference.output import Mode
    from aios_core.training.checkpoint import Checkpoint


def ready(trained: Checkpoint, overrides: Sequence[str], *, evolved: bool = False) -> Checkpoint:
    """A model on its device, under overrides, which must not touch what was trained.

    Args:
        trained: as it was trained.
        overrides: ``key=value`` each.
        evolved: with the skills that its run has kept.

    Raises:
        InferenceError: they would.
    """
    resolved = resolve(
        trained.state.values, overrides=overrides, registry=trained.resolved.registry
    )
    if training_key(resolved) != training_key(trained.resolved):
        raise InferenceError(
            f"--set {' '.join(overrides)}: would change what {trained.folder} was trained with; "
            "expected keys of [sampler] and [sampling] only"
        )
    model = at(trained, find(trained)) if evolved else trained.model
    model = model.to(choose(resolved.config.training)).eval()
    return attrs.evolve(trained, model=model, resolved=resolved)


def switched(base: Checkpoint, now: Checkpoint, skill: str | None) -> Checkpoint:
    """A model with other skills than it has now; no weight of it is read or copied.

    Args:
        base: as it was trained, its tensors shared with the one that is used.
        now: what is used.
        skill: the beginning of a version's id, or ``"base"``; None: what HEAD names.

    Raises:
        EvolutionError: there is no such version, it was revoked, or it is damaged.
    """
    version = find(base, skill)
    base.model.to(now.model.device)
    return attrs.evolve(now, model=at(base, version).eval())


def check_together(models: Mapping[Mode, Checkpoint], first: Checkpoint) -> None:
    """Whether models write as they are named, and read the same tokens.

    Args:
        models: by mode.
        first: whose tokenizer the others must have.

    Raises:
        InferenceError: they do not.
    """
    for name, loaded in models.items():
        if loaded.model.mode != name:
            raise InferenceError(
                f"{loaded.folder}: expected a model of mode {name}, got {loaded.model.mode}"
            )
        if loaded.model.vocabulary != loaded.tokenizer.vocabulary:
            raise InferenceError(
                f"{loaded.folder}: the model has {loaded.model.vocabulary}, its tokenizer "
                f"{loaded.tokenizer.vocabulary}; expected the one that it was trained with"
            )
        if loaded.tokenizer.fingerprint != first.tokenizer.fingerprint:
            raise InferenceError(
                f"{loaded.folder}: has another tokenizer than {first.folder}; models that are "
                "used together must read the same tokens"
            )
