"""`aios skill`: the skills of a run as cards that can be carried about."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click
from attrs import frozen

from aios_core.cli.common import json_option, print_json, print_table
from aios_core.cli.network import network_argument
from aios_core.contracts import Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aios_plugins.evolution.card import Card

_run = network_argument("run", "RUN", click.Path(exists=True, file_okay=False, path_type=Path))
_path = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """List, show, merge, export, import and revoke the skills that a model has learned.

    A skill is a folder with adapter_config.json and adapter_model.safetensors, as PEFT names them,
    and a card, skill.json. No code in it is ever run.

    \b
    Examples:
      aios evolve run runs/text --texts Cargo.lock --level l2-lora --set seed=3
      aios skill ls runs/text
      aios skill show runs/text HEAD
    """  # noqa: D301  # \b is for click


@command.command()
@_run
@click.option(
    "--like",
    "context",
    metavar="TEXT",
    help="List the skills whose name and description are nearest to TEXT.",
)
@click.option(
    "--store",
    "place",
    metavar="PLACE",
    help="Store for the vectors of --like, as in lancedb:skills.  [default: in the run]",
)
@json_option
def ls(run: Path, context: str | None, place: str | None, *, as_json: bool) -> None:
    """List the skills of a run, revoked ones included, or those that --like finds.

    \b
    Examples:
      aios skill ls runs/text
      aios skill ls runs/text --like "questions about numbers"
    """  # noqa: D301  # \b is for click
    from aios_plugins.evolution.journal import Journal

    if place is not None and context is None:
        raise click.UsageError("--store is where --like looks; expected --like as well")
    journal = Journal.of(run)
    if context is None:
        cards = journal.versions()
    else:
        from aios_core.memory import Place
        from aios_core.training import checkpoint
        from aios_plugins.evolution.skill_index import find_skills

        where = None if place is None else Place.of(place)
        scored = find_skills(journal, checkpoint.load(run).resolved, context, place=where)
        cards = [card for card, _ in scored]
    if as_json:
        print_json([attrs.asdict(card) for card in cards])
        return
    rows = [
        (card.skill_id[:12], card.name, card.level, _state(card, journal.head), card.description)
        for card in cards
    ]
    print_table(("skill", "name", "level", "", "description"), rows)


def _state(card: Card, head: str | None) -> str:
    if card.revoked:
        return "revoked"
    return "HEAD" if card.skill_id == head else ""


@command.command()
@_run
@click.argument("skill", metavar="SKILL")
@json_option
def show(run: Path, skill: str, *, as_json: bool) -> None:
    """Show one skill, and check its bytes against its id.

    SKILL is the beginning of an id, a name, or HEAD.

    \b
    Examples:
      aios skill show runs/text HEAD
    """  # noqa: D301  # \b is for click
    from aios_plugins.evolution.card import read
    from aios_plugins.evolution.readme import readme

    card, _ = read(_folder(run, skill))
    if as_json:
        print_json(attrs.asdict(card))
    else:
        click.echo(readme(card))


@command.command(name="import")
@_run
@click.argument("folder", metavar="DIR", type=_path)
@click.option("--name", help="Name of the skill.  [default: that of the card, or of the folder]")
def import_(run: Path, folder: Path, name: str | None) -> None:
    """Import a skill, or an adapter of PEFT; `aios evolve use` then switches to it.

    \b
    Examples:
      aios skill export runs/text HEAD runs/a-skill
      aios skill import runs/text runs/a-skill
    """  # noqa: D301  # \b is for click
    from aios_core.training import checkpoint
    from aios_plugins.evolution.journal import Journal
    from aios_plugins.evolution.skills import take_in

    before = Journal.of(run).ids()
    _say(run, take_in(checkpoint.load(run), folder, name=name), before)


def _say(run: Path, card: Card, before: Sequence[str]) -> None:
    """Name a skill that was made, or that was there before under a name of its own."""
    skill, use = card.skill_id[:12], f"`aios evolve use {run} {card.skill_id[:12]}` uses it"
    if card.skill_id in before:
        click.echo(
            f"{skill}: these weights are there already, and keep the name {card.name}; {use}"
        )
    else:
        click.echo(f"{skill} {card.name}; {use}")


@command.command()
@_run
@click.argument("skill", metavar="SKILL")
@click.argument("folder", metavar="DIR", type=_path)
def export(run: Path, skill: str, folder: Path) -> None:
    """Copy a skill into the new folder DIR.

    \b
    Examples:
      aios skill export runs/text HEAD runs/my-skill
    """  # noqa: D301  # \b is for click
    from aios_plugins.evolution.journal import Journal
    from aios_plugins.evolution.skills import hand_out

    hand_out(Journal.of(run), _folder(run, skill).name, folder)
    click.echo(str(folder))


@command.command()
@_run
@click.argument("skills", metavar="SKILL[=WEIGHT]...", nargs=-1, required=True)
@click.option("--name", default="merged", show_default=True, help="Name of the new skill.")
def merge(run: Path, skills: tuple[str, ...], name: str) -> None:
    """Merge several skills into a new one, each with a weight, 1 by default.

    The skills must be of one level and learned on one model; those of l2-lora can be merged. The
    model is unchanged until `aios evolve use` switches to the new skill.

    \b
    Examples:
      aios skill merge runs/text HEAD=0.5 --name half
    """  # noqa: D301  # \b is for click
    from aios_core.training import checkpoint
    from aios_plugins.evolution import skills as cards
    from aios_plugins.evolution.journal import Journal

    weights: dict[str, float] = {}
    for skill in skills:
        version, equals, said = skill.partition("=")
        try:
            weight = float(said) if equals else 1.0
        except ValueError:
            weight = math.nan
        if not math.isfinite(weight):
            raise click.UsageError(f"{skill}: expected a finite number as the weight, got {said!r}")
        skill_id = _folder(run, version).name
        if skill_id in weights:
            raise click.UsageError(f"{skill}: expected each skill once, got {skill_id[:12]} twice")
        weights[skill_id] = weight
    before = Journal.of(run).ids()
    _say(run, cards.merge(checkpoint.load(run), weights, name=name), before)


@command.command()
@_run
@click.argument("skill", metavar="SKILL")
@click.option("--reason", default="", help="Reason to keep in the journal.")
def revoke(run: Path, skill: str, reason: str) -> None:
    """Never apply a skill again; if HEAD builds on it, HEAD goes back to the version before it.

    \b
    Examples:
      aios skill revoke runs/text HEAD --reason "learned from texts that we may not use"
    """  # noqa: D301  # \b is for click
    from aios_plugins.evolution import skills
    from aios_plugins.evolution.journal import Journal

    journal = Journal.of(run)
    head = skills.revoke(journal, _folder(run, skill).name, reason=reason)
    click.echo(f"HEAD: {(head or 'base')[:12]}")


@command.command()
@_run
@click.argument("skill", metavar="SKILL")
def delete(run: Path, skill: str) -> None:
    """Delete a skill, also a damaged one, if neither HEAD nor another skill builds on it.

    \b
    Examples:
      aios skill merge runs/text HEAD=0.25 --name quarter
      aios skill delete runs/text quarter
    """  # noqa: D301  # \b is for click
    from aios_plugins.evolution import skills
    from aios_plugins.evolution.journal import Journal

    skill_id = _folder(run, skill).name
    skills.delete(Journal.of(run), skill_id)
    click.echo(f"{skill_id[:12]}: deleted")


def _folder(run: Path, skill: str) -> Path:
    from aios_core.errors import EvolutionError
    from aios_plugins.evolution.journal import Journal

    journal = Journal.of(run)
    version = journal.named(skill)
    if version is None:
        raise EvolutionError(
            "base is not a skill; expected the beginning of an id, see `aios skill ls`"
        )
    return journal.version(version)


@frozen
class Skill(Command):
    """List, show, merge, export, import and revoke the skills that a model has learned."""

    def build(self) -> click.Command:
        """The command."""
        return command
