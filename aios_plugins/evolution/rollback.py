"""Going back to a version, and proof that nothing was changed since it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from aios_core.errors import AIOSError, EvolutionError
from aios_core.training.digest import model_digest
from aios_plugins.evolution.card import read_card
from aios_plugins.evolution.head import at
from aios_plugins.evolution.journal import Journal

if TYPE_CHECKING:
    from aios_core.contracts import TrainedRun


@frozen
class Rollback:
    """What was done."""

    before: str | None
    """HEAD before; None is the base."""
    after: str | None
    sha256: str
    """Of all tensors of the model now."""


def rollback(
    trained: TrainedRun, to: str | None = None, *, reason: str = "", event: str = "rollback"
) -> Rollback:
    """Let HEAD name another version, once its tensors are shown to be those that were kept.

    Args:
        trained: the run's model as it was trained.
        to: the beginning of an id, a name, or ``"base"``; None: what HEAD was learned on.
        reason: for the journal.
        event: what the journal calls it.

    Raises:
        EvolutionError: there is no such version, or it is damaged; HEAD stays where it was.
    """
    journal = Journal.of(trained.run_folder)
    with journal.locked():
        head = journal.head
        if to is not None:
            target = journal.named(to)
        elif head is None:
            raise EvolutionError(f"{journal.folder}: HEAD is the base, and nothing is before it")
        else:
            target = journal.chain(head)[-1][0].parent
        digest = checked(trained, journal, target)
        journal.add(event, to=target, head=head, reason=reason)
        journal.move(target)
    return Rollback(head, target, digest)


def checked(trained: TrainedRun, journal: Journal, tip: str | None) -> str:
    """Digest of the model at a version.

    Raises:
        EvolutionError: it is not the one that was written when the version was made.
    """
    digest = model_digest(at(trained, journal, tip))
    if tip is not None:
        card = read_card(journal.version(tip))
        if digest != card.result_sha256:
            raise EvolutionError(
                f"{journal.version(tip)}: gives a model with the digest {digest[:12]}, and its "
                f"card says {card.result_sha256[:12]}"
            )
    return digest


def faults(trained: TrainedRun) -> list[str]:
    """What is wrong with the evolution of a run; nothing is repaired."""
    wrong = []
    try:
        journal = Journal.of(trained.run_folder)
        entries = journal.entries()
        kept = _kept(entries)
    except EvolutionError as error:
        return [str(error)]
    versions = journal.ids()
    wrong += [
        f"{journal.version(version)}: is missing, and the journal kept it"
        for version in sorted(kept - set(versions))
    ]
    # A version that was deleted may be learned anew.
    last = {entry["skill_id"]: entry["event"] for entry in entries if entry["event"] in _ENDS}
    for version in versions:
        try:
            if last.get(version) == "revoke" and not journal.revoked(version):
                wrong.append(
                    f"{journal.version(version)}: was being revoked when the command ended, and "
                    "can still be applied; revoke it again"
                )
            chain = [card for card, _ in journal.chain(version)]  # of revoked ones too
            if not any(card.revoked for card in chain):
                checked(trained, journal, version)
        except AIOSError as error:
            wrong.append(str(error))
    try:
        if journal.head is not None and journal.head not in kept:
            wrong.append(f"{journal.folder / 'HEAD'}: names a version that the journal never kept")
        checked(trained, journal, journal.head)
    except AIOSError as error:
        wrong.append(str(error))
    return list(dict.fromkeys(wrong))


_ENDS: Final = ("revoke", "delete")
"""Events that end the use of a version."""


def _kept(entries: list[dict[str, Any]]) -> set[str]:
    """Ids of the versions that a journal says are there."""
    kept: set[str] = set()
    for entry in entries:
        if entry["event"] == "delete":
            kept.discard(entry["skill_id"])
        elif entry["event"] == "attempt" and entry["accepted"]:
            kept.add(entry["skill_id"])
        elif (to := entry.get("to")) is not None:
            kept.add(to)
    return kept
