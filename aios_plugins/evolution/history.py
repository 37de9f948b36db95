"""The history that keeps a journal: every version is a skill card, and every attempt a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs
from attrs import frozen

from aios_core.contracts import History
from aios_core.training.digest import model_digest
from aios_plugins.evolution.card import made_for, slug
from aios_plugins.evolution.head import applied, at
from aios_plugins.evolution.journal import NAME, Journal
from aios_plugins.evolution.rollback import faults

if TYPE_CHECKING:
    from aios_core.contracts import Adaptation, Network, TrainedRun


@frozen
class Journaled(History):
    """Skill cards and a journal of every attempt; each version is checked against its digest."""

    name: ClassVar[str] = NAME

    def versions(self, run: Path) -> Sequence[str]:
        """Ids of the skills."""
        return Journal.of(run).ids()

    def find(self, run: Path, name: str | None = None) -> str | None:
        """By id, by its beginning, by the name of a skill, or as ``"HEAD"``."""
        journal = Journal.of(run)
        return journal.head if name is None else journal.named(name)

    def at(self, trained: TrainedRun, version: str) -> Network:
        """With the skill and all that it was learned on."""
        return at(trained, Journal.of(trained.run_folder), version)

    def keep(self, trained: TrainedRun, level: str, adaptation: Adaptation) -> str:
        """A skill that no gate has judged, as one that was imported."""
        journal, base = Journal.of(trained.run_folder), model_digest(trained.model)
        with journal.locked():
            head = journal.head
            model = at(trained, journal, head, base=base)
            card = made_for(trained, level, adaptation, base=base, name=slug(level), parent=head)
            changed = applied(model, card, adaptation, trained.level)
            card = attrs.evolve(card, result_sha256=model_digest(changed))
            card = journal.keep(card, adaptation)
            journal.add("import", to=card.skill_id, head=head, reason="kept as it was given")
            journal.move(card.skill_id)
        return card.skill_id

    def faults(self, trained: TrainedRun) -> Sequence[str]:
        """Of the journal, its versions and HEAD."""
        return faults(trained)
