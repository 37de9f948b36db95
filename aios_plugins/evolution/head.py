"""The model that a run stands for: as it was trained, or with what it has learned since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios_core.errors import EvolutionError, PluginError
from aios_core.training.digest import model_digest
from aios_plugins.evolution.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from aios_core.contracts import Adaptation, EvolutionLevel, Network, TrainedRun
    from aios_plugins.evolution.card import Card


def at_head(trained: TrainedRun) -> Network:
    """A trained model with the skills that its run has kept.

    Raises:
        EvolutionError: a version is missing or damaged, or made for another model.
    """
    journal = Journal.of(trained.run_folder)
    return at(trained, journal, journal.head)


def at(
    trained: TrainedRun, journal: Journal, tip: str | None, *, base: str | None = None
) -> Network:
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
        model = applied(model, card, adaptation, trained.level)
    return model


def check_base(card: Card, base: str, trained: TrainedRun) -> None:
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


def applied(
    model: Network, card: Card, adaptation: Adaptation, level: Callable[[str], EvolutionLevel]
) -> Network:
    """A model with one more skill.

    Args:
        model: that it was learned on.
        card: of the skill.
        adaptation: that it holds.
        level: gives the level of a registry name.

    Raises:
        EvolutionError: it was revoked, no installed level applies it, or it does not fit.
    """
    if card.revoked:
        raise EvolutionError(f"skill {card.name} ({card.skill_id[:12]}): was revoked")
    try:
        applies = level(card.level)
    except PluginError as error:
        raise EvolutionError(f"skill {card.name}: {error}") from error
    return applies.apply(model, adaptation).eval()
