"""One round of evolution: route, adapt, gate, keep; every attempt in the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from aios_core.errors import EvolutionError
from aios_core.training.digest import model_digest
from aios_core.training.measured import own_corpus
from aios_plugins.evolution.card import Card, data_digest, made_for
from aios_plugins.evolution.head import at
from aios_plugins.evolution.journal import Journal
from aios_plugins.evolution.proposal import Proposal, evidence_uncertainty, propose
from aios_plugins.evolution.router import route
from aios_plugins.evolution.splits import Material, Splits, split

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.contracts import EvolutionLevel
    from aios_core.diffusion.model import Model
    from aios_core.training.checkpoint import Checkpoint


@frozen
class Attempt:
    """What became of one level."""

    level: str
    why: str
    """It was tried."""
    accepted: bool
    reason: str
    """It was accepted, or not."""
    card: Card | None
    """None where the level gave nothing to judge."""


def evolve(
    trained: Checkpoint,
    resolved: Resolved,
    *,
    material: Material | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> list[Attempt]:
    """Try levels until one passes the gate, or all have failed.

    Args:
        trained: the run's model as it was trained.
        resolved: its configuration, with evidence, levels and what the gate requires.
        material: its evidence and the texts of the run, where they were read already.
        on_progress: called with a line about what is done now.

    Returns:
        Every attempt, the last of which may be accepted; empty where no level is left to try.

    Raises:
        EvolutionError: there is no evidence, another evolution is at work, the disk refuses, ...;
            HEAD stays where it was.
    """
    journal = Journal.of(trained.run_folder)
    with journal.locked():
        return _Round(trained, resolved, journal, material).run(on_progress)


class _Round:
    """One round, from the HEAD that the journal has now."""

    def __init__(
        self, trained: Checkpoint, resolved: Resolved, journal: Journal, material: Material | None
    ) -> None:
        self.trained, self.config, self.journal = trained, resolved.config, journal
        self.registry = resolved.registry
        self.head, self.base = journal.head, model_digest(trained.model)
        self.model = cast("Model", at(trained, journal, self.head, base=self.base))
        material = material or Material.of(self.config, own_corpus(trained))
        self.splits: Splits = split(self.config, trained.tokenizer, material)
        facts = {"head": self.head, "data": self.splits.fingerprint, "seed": self.config.seed}
        self.key = data_digest(facts)

    def run(self, on_progress: Callable[[str], None]) -> list[Attempt]:
        past = [entry for entry in self.journal.entries() if entry["event"] == "attempt"]
        gate = self.splits.gate.fingerprint
        gatings = sum(entry["gate"] == gate and entry["verdict"] is not None for entry in past)
        failed = {
            entry["level"] for entry in past if entry["key"] == self.key and not entry["accepted"]
        }
        attempts: list[Attempt] = []

        def measure() -> float:
            return evidence_uncertainty(self.model, self.splits, self.registry)

        for choice in route(self.config, measure, failed):
            why = choice.why
            if attempts:
                why = f"{attempts[-1].level} failed: {attempts[-1].reason}"
            on_progress(f"{choice.level.name}: {why}")
            attempts.append(self._try(choice.level, why, gatings))
            gatings += attempts[-1].card is not None
            if attempts[-1].accepted:
                break
        return attempts

    def _try(self, level: EvolutionLevel, why: str, gatings: int) -> Attempt:
        name = level.name
        try:
            proposal = propose(level, self.model, self.splits, self.config, gatings=gatings)
        except EvolutionError as error:
            attempt = Attempt(name, why, accepted=False, reason=str(error), card=None)
            self._note(attempt)
            return attempt
        verdict, card = proposal.verdict, self._card(name, proposal)
        attempt = Attempt(name, why, verdict.accepted, verdict.reason, card)
        if attempt.accepted and self.journal.revoked(card.skill_id):
            reason = f"it is the skill {card.skill_id[:12]} again, which was revoked"
            attempt = Attempt(name, why, accepted=False, reason=reason, card=card)
        if attempt.accepted:
            self.journal.keep(card, proposal.adaptation)
        self._note(attempt)
        if attempt.accepted:
            self.journal.move(card.skill_id)
        return attempt

    def _card(self, name: str, proposal: Proposal) -> Card:
        config, trained = self.config, self.trained
        return made_for(
            trained,
            name,
            proposal.adaptation,
            base=self.base,
            name=name,
            description=f"Learned by {name} from {len(self.splits.fitting.target)} windows.",
            parent=self.head,
            result_sha256=model_digest(proposal.model),
            parameters_total=self.model.num_parameters(),
            scores=proposal.verdict.plain(),
            report=proposal.report.plain(),
            data=self.splits.fingerprint,
            seed=config.seed,
            seconds=round(proposal.seconds, 3),
        )

    def _note(self, attempt: Attempt) -> None:
        card = attempt.card
        measured: dict[str, Any] = {"verdict": None}
        if card is not None:
            measured = {
                "skill_id": card.skill_id,
                "parameters": card.parameters,
                "parameters_total": card.parameters_total,
                "seconds": card.seconds,
                "verdict": card.scores,
                "report": card.report,
            }
        self.journal.add(
            "attempt",
            level=attempt.level,
            why=attempt.why,
            accepted=attempt.accepted,
            reason=attempt.reason,
            key=self.key,
            head=self.head,
            gate=self.splits.gate.fingerprint,
            data=self.splits.fingerprint,
            seed=self.config.seed,
            base_sha256=self.base,
            **measured,
        )
