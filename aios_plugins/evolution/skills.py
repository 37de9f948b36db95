"""Skill cards as people carry them about: taken in, handed out, merged, and revoked."""

from __future__ import annotations

import json
import math
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from torch import nn

from aios_core.config.lock import library_versions
from aios_core.errors import EvolutionError
from aios_core.files import new_folder, replace_text
from aios_core.training.digest import model_digest
from aios_plugins.evolution.card import (
    CARD,
    CONFIG,
    FILES,
    Card,
    identified,
    made_for,
    read,
    read_adaptation,
    read_card,
    slug,
)
from aios_plugins.evolution.head import applied, at, check_base
from aios_plugins.evolution.journal import BASE, Journal
from aios_plugins.levels._peft import check_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aios_core.contracts import Adaptation, Network
    from aios_core.training.checkpoint import Checkpoint


def take_in(trained: Checkpoint, folder: Path, *, name: str | None = None) -> Card:
    """Make a card, or an adapter of PEFT, a version of a run; HEAD stays where it is.

    Args:
        trained: the run's model as it was trained.
        folder: of the card; with no ``skill.json`` it is taken for an adapter of PEFT.
        name: of the skill; None: the card's, or the folder's.

    Returns:
        The card of the version: an older one with its own name where the version was there already.

    Raises:
        EvolutionError: it is damaged, could run code, or is for another model; or `name` is empty.
    """
    named = None if name is None else slug(name)
    journal, base = Journal.of(trained.run_folder), model_digest(trained.model)
    if (folder / CARD).exists():
        card, adaptation = read(folder)
        check_base(card, base, trained)
        model: Network = trained.model
        for older, what in journal.chain(card.parent):
            model = applied(model, older, what, trained.level)
        changed = applied(model, card, adaptation, trained.level)
        if model_digest(changed) != card.result_sha256:
            raise EvolutionError(f"{folder}: does not give the model that its card describes")
    else:
        adaptation = read_adaptation(folder)
        try:
            card = _of_peft(trained, folder, adaptation, base)
        except EvolutionError as error:
            raise EvolutionError(f"{folder / CONFIG}: {error}") from error
    if named is not None:
        card = attrs.evolve(card, name=named)
    with journal.locked():
        card = journal.keep(card, adaptation)
        journal.add("import", to=card.skill_id, head=journal.head, reason=f"from {folder.name}")
    return card


def hand_out(journal: Journal, skill_id: str, target: Path) -> None:
    """Copy a version into a folder of its own, which PEFT reads too where it is LoRA.

    Raises:
        EvolutionError: it is damaged, or the folder is there already or cannot be written.
    """
    read(journal.version(skill_id))
    if target.exists():
        raise EvolutionError(f"{target}: is there already; expected a new folder")
    try:
        with new_folder(target) as temporary:
            for file in FILES:
                shutil.copyfile(journal.version(skill_id) / file, temporary / file)
    except OSError as error:
        raise EvolutionError(f"{target}: cannot be written: {error}") from error


def revoke(journal: Journal, skill_id: str, *, reason: str = "") -> str | None:
    """Never apply a version again; where HEAD builds on it, HEAD goes back to before it.

    Returns:
        HEAD afterwards.

    Raises:
        EvolutionError: there is no such version, or the disk refuses.
    """
    with journal.locked():
        card, head = read_card(journal.version(skill_id)), journal.head
        if skill_id in [kept.skill_id for kept, _ in journal.chain(head)]:
            head = card.parent
        journal.add("revoke", to=head, skill_id=skill_id, head=journal.head, reason=reason)
        # Before HEAD moves: where that fails, a model with the skill is refused and not used.
        text = json.dumps(attrs.asdict(attrs.evolve(card, revoked=True)), indent=1)
        replace_text(journal.version(skill_id) / CARD, text + "\n")
        journal.move(head)
    return head


def delete(journal: Journal, skill_id: str) -> None:
    """Remove a version for good, damaged or not, that neither HEAD nor a version builds on.

    Raises:
        EvolutionError: one builds on it, or the disk refuses.
    """
    with journal.locked():
        journal.drop(skill_id)


def merge(trained: Checkpoint, weights: Mapping[str, float], *, name: str) -> Card:
    """Make one skill of several, each with a weight; HEAD stays where it is.

    Args:
        trained: the run's model as it was trained.
        weights: of versions of the run, all of one level and learned on one parent; finite.
        name: of the new skill.

    Returns:
        Its card: an older one with its own name where the same was merged before.

    Raises:
        EvolutionError: they do not belong together, their level cannot merge, one was revoked, or
            a weight, or what comes of it, is not finite.
    """
    named = slug(name)
    for skill_id, weight in weights.items():
        if not math.isfinite(weight):
            raise EvolutionError(f"{skill_id[:12]}: expected a finite weight, got {weight}")
    journal = Journal.of(trained.run_folder)
    parts = [read(journal.version(skill_id)) for skill_id in weights]
    if len({(card.level, card.parent) for card, _ in parts}) != 1:
        each = ", ".join(f"{c.name} ({c.level} on {(c.parent or BASE)[:12]})" for c, _ in parts)
        raise EvolutionError(
            f"expected skills of one level, learned on one parent; got {each or '-'}"
        )
    first, _ = parts[0]
    if revoked := next((card.name for card, _ in parts if card.revoked), None):
        raise EvolutionError(f"skill {revoked}: was revoked")
    level = trained.level(first.level)
    pairs = zip((adaptation_part for _, adaptation_part in parts), weights.values(), strict=True)
    adaptation = level.merge(list(pairs))
    said = " + ".join(
        f"{weight:g} {card.name} ({card.skill_id[:12]})"
        for (card, _), weight in zip(parts, weights.values(), strict=True)
    )
    card = attrs.evolve(
        first,
        name=named,
        description=f"Merged: {said}.",
        parameters=adaptation.parameters,
        scores={},
        report={},
        data="",
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        versions=library_versions(),
    )
    changed = applied(at(trained, journal, first.parent), card, adaptation, trained.level)
    card = identified(attrs.evolve(card, result_sha256=model_digest(changed)), adaptation)
    with journal.locked():
        card = journal.keep(card, adaptation)
        journal.add("import", to=card.skill_id, head=journal.head, reason=card.description)
    return card


def _of_peft(trained: Checkpoint, folder: Path, adaptation: Adaptation, base: str) -> Card:
    """A card for an adapter that has none."""
    config = adaptation.config
    task, of = config.get("task_type"), config.get("base_model_name_or_path")
    if task is not None and trained.model.mode == "diffusion":
        raise EvolutionError(
            f"is an adapter for the task {task!r:.80}, of an autoregressive model or an "
            "encoder, and this model is a diffusion model; expected one that was learned on it"
        )
    if of and of != f"aios-{base[:16]}":
        raise EvolutionError(f"is for the base {of!r:.200}, and this one is 'aios-{base[:16]}'")
    card = made_for(
        trained,
        "l2-lora",
        adaptation,
        base=base,
        name=slug(folder.resolve().name),
        description="An adapter of PEFT.",
    )
    changed = applied(trained.model, card, adaptation, trained.level)
    linear = (name for name, part in trained.model.named_modules() if isinstance(part, nn.Linear))
    check_whole(config, adaptation.tensors, linear)
    return attrs.evolve(card, result_sha256=model_digest(changed))
