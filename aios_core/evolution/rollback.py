"""Going back to a version, and proof that nothing was changed since it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aios_core.errors import AIOSError, EvolutionError
from aios_core.evolution.card import read_card
from aios_core.evolution.digest import model_digest
from aios_core.evolution.head import at, run_folder
from aios_core.evolution.journal import Journal

if TYPE_CHECKING:
    from aios_core.training.checkpoint import Checkpoint


@frozen
class Rollback:
    """What was done."""

    before: str | None
    """HEAD before; None is the base."""
    after: str | None
    sha256: str
    """Of all tensors of the model now."""


def rollback(found: Checkpoint, to: str | None = None, *, reason: str = "") -> Rollback:
    """Let HEAD name another version, once its tensors are shown to be those that were kept.

    Args:
        found: the run's model as it was trained.
        to: the beginning of an id, or ``"base"``; None: what HEAD was learned on.
        reason: for the journal.

    Raises:
        EvolutionError: there is no such version, or it is damaged; HEAD stays where it was.
    """
    journal = Journal.of(run_folder(found))
    with journal.locked():
        head = journal.head
        if to is not None:
            target = journal.named(to)
        elif head is None:
            raise EvolutionError(f"{journal.folder}: HEAD is the base, and nothing is before it")
        else:
            target = journal.chain(head)[-1][0].parent
        digest = checked(found, journal, target)
        journal.add("rollback", to=target, head=head, reason=reason)
        journal.move(target)
    return Rollback(head, target, digest)


def checked(found: Checkpoint, journal: Journal, tip: str | None) -> str:
    """Digest of the model at a version.

    Raises:
        EvolutionError: it is not the one that was written when the version was made.
    """
    digest = model_digest(at(found, journal, tip))
    if tip is not None:
        card = read_card(journal.version(tip))
        if digest != card.result_sha256:
            raise EvolutionError(
                f"{journal.version(tip)}: gives a model with the digest {digest[:12]}, and its "
                f"card says {card.result_sha256[:12]}"
            )
    return digest


def faults(found: Checkpoint) -> list[str]:
    """What is wrong with the evolution of a run; nothing is repaired."""
    journal, wrong = Journal.of(run_folder(found)), []
    try:
        entries = journal.entries()
        kept = {entry.get("skill_id") for entry in entries if entry.get("accepted")}
        kept |= {entry["to"] for entry in entries if entry["event"] == "import"}
    except EvolutionError as error:
        return [str(error)]
    for folder in sorted(journal.folder.glob("versions/*")):
        if folder.name.startswith("."):
            continue
        try:
            chain = [card for card, _ in journal.chain(folder.name)]  # of revoked ones too
            if not any(card.revoked for card in chain):
                checked(found, journal, folder.name)
        except AIOSError as error:
            wrong.append(str(error))
    try:
        if journal.head is not None and journal.head not in kept:
            wrong.append(f"{journal.folder / 'HEAD'}: names a version that the journal never kept")
        checked(found, journal, journal.head)
    except AIOSError as error:
        wrong.append(str(error))
    return list(dict.fromkeys(wrong))
