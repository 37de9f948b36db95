"""The model that a run stands for: as it was trained, or with what it has learned since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios_core.errors import EvolutionError, PluginError
from aios_core.evolution.digest import model_digest
from aios_core.evolution.journal import Journal

if TYPE_CHECKING:
    from aios_core.contracts import Adaptation
    from aios_core.diffusion.model import Model
    from aios_core.evolution.card import Card
    from aios_core.registry import Registry
    from aios_core.training.checkpoint import Checkpoint


def at_head(trained: Checkpoint) -> Model:
    """A trained model with the skills that its run has kept.

    Raises:
        EvolutionError: a version is missing or damaged, or made for another model.
    """
    journal = Journal.of(trained.run_folder)
    return at(trained, journal, journal.head)


def at(trained: Checkpoint, journal: Journal, tip: str | None, *, base: str | None = None) -> Model:
    """A trained model as it was at a version; None is the base.

    Args:
        trained: as it was trained.
        journal: of its run.
        tip: the version.
        base: digest of the model as it was trained, where it is known.

    Raises:
        EvolutionError: as for `at_head`.
    """
    model = trained.model
    for card, adaptation in journal.chain(tip):
        if card.parent is None:
            check_base(card, base or model_digest(trained.model), trained)
        model = applied(model, card, adaptation, trained.resolved.registry)
    return model


def check_base(card: Card, base: str, trained: Checkpoint) -> None:
    """Whether a card was made for a model.

    Raises:
        EvolutionError: it was not; the message says what is different.
    """
    if card.mode != trained.model.mode:
        raise EvolutionError(
            f"skill {card.name}: is for models of mode {card.mode!r}, and this one's is "
            f"{trained.model.mode!r}"
        )
    if card.tokenizer_sha256 != trained.tokenizer.fingerprint:
        raise EvolutionError(f"skill {card.name}: was made with another tokenizer")
    if card.base_sha256 != base:
        raise EvolutionError(
            f"skill {card.name}: was made for the base {card.base_sha256[:12]}, and this one is "
            f"{base[:12]}; expected the model that it was learned on"
        )


def applied(model: Model, card: Card, adaptation: Adaptation, registry: Registry) -> Model:
    """A model with one more skill.

    Raises:
        EvolutionError: it was revoked, no installed level applies it, or it does not fit.
    """
    if card.revoked:
        raise EvolutionError(f"skill {card.name} ({card.skill_id[:12]}): was revoked")
    try:
        level = registry.get("level", card.level).load()()
    except PluginError as error:
        raise EvolutionError(f"skill {card.name}: {error}") from error
    changed: Model = level.apply(model, adaptation)
    return changed.eval()
