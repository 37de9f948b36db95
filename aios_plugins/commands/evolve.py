"""`aios evolve`: adapt a trained model, keep what a gate says is better, and take it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from aios_core.cli.common import json_option, print_json, print_table, set_option
from aios_core.cli.network import network_argument
from aios_core.cli.numbers import COUNT
from aios_core.contracts import Command

if TYPE_CHECKING:
    from aios_plugins.evolution.loop import Attempt

_run = network_argument("run", "RUN", click.Path(exists=True, file_okay=False, path_type=Path))


@click.group()
def command() -> None:
    """Adapt a trained model to texts, keep what a test finds better, and undo it.

    RUN is the folder of a run. Only its folder evolution/ is changed; the file HEAD there names the
    version of the model that is in use. A test, the gate, decides whether a change is kept.

    \b
    Examples:
      aios evolve run runs/text --texts Cargo.lock
      aios evolve status runs/text
      aios evolve history runs/text
      aios evolve rollback runs/text
    """  # noqa: D301  # \b is for click


@command.command(name="run")
@_run
@click.option(
    "--texts",
    metavar="FILE",
    multiple=True,
    help="File of texts to adapt to, read as dataset.type = 'file' reads it, with the run's own "
    "settings of that type, such as its encoding; may be repeated.",
)
@click.option(
    "--memories",
    metavar="PLACE",
    help="Store of texts to adapt to: a folder, or TYPE:URI as in lancedb:notes.",
)
@click.option(
    "--filter", "where", metavar="SQL", help="Use only the memories that match this filter."
)
@click.option("--level", metavar="NAME", help="Try only this level, even if it is not configured.")
@click.option(
    "--rounds",
    type=COUNT,
    default=1,
    show_default=True,
    help="Number of rounds; each starts from the previous result.",
)
@set_option
@json_option
def evolve_run(
    *,
    run: Path,
    texts: tuple[str, ...],
    memories: str | None,
    where: str | None,
    level: str | None,
    rounds: int,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Try evolution levels on texts until one passes the gate.

    The gate decides on the last tenth of the texts, which the model never learns from. Exit code 1
    means that no level passed and the model is unchanged.

    \b
    Examples:
      aios evolve run runs/text --texts Cargo.lock --level l2-lora --set evolution.steps=300
      aios evolve run runs/text --texts Cargo.lock --rounds 2 --set seed=1 --json

    The texts of a store:

    \b
      aios memory add Cargo.lock --store runs/lines
      aios evolve run runs/text --memories runs/lines --filter "text LIKE '%e%'" --set seed=2
    """  # noqa: D301  # \b is for click
    from aios_core.config import resolve
    from aios_core.training import checkpoint
    from aios_core.training.measured import own_corpus
    from aios_plugins.evolution.loop import evolve
    from aios_plugins.evolution.splits import Material

    trained = checkpoint.load(run)
    values = dict(trained.state.values)
    if where is not None and memories is None:
        raise click.UsageError("--filter chooses --memories; expected both")
    own = values["dataset"] if values["dataset"].get("type") == "file" else {"type": "file"}
    evidence: list[dict[str, Any]] = [{**own, "path": text} for text in texts]
    if memories is not None:
        chosen = {} if where is None else {"filter": where}
        evidence.append({"type": "memories", "store": memories, **chosen})
    if evidence:
        values["evidence"] = evidence
    if level is not None:
        known = values.get("levels", [])
        if level not in [entry["type"] for entry in known]:
            values["levels"] = [*known, {"type": level}]
        values["evolution"] = {**values.get("evolution", {}), "level": level}
    resolved = resolve(values, overrides=overrides)
    attempts: list[Attempt] = []
    material = Material.of(resolved.config, own_corpus(trained))
    for _ in range(rounds):
        with _kept(run):
            attempts += evolve(
                trained,
                resolved,
                material=material,
                on_progress=lambda line: click.echo(line, err=True),
            )
        seed = (resolved.config.seed + 1) % 2**63  # the largest is followed by 0
        resolved = resolve(resolved.values, overrides=[f"seed={seed}"])
    if as_json:
        print_json([_facts(attempt) for attempt in attempts])
    else:
        _print(attempts)
    if not any(attempt.accepted for attempt in attempts):
        raise SystemExit(1)


@command.command()
@_run
@json_option
def status(run: Path, *, as_json: bool) -> None:
    """Show the version of the model that is in use.

    \b
    Examples:
      aios evolve status runs/text
    """  # noqa: D301  # \b is for click
    from aios_plugins.evolution.journal import Journal

    journal = Journal.of(run)
    cards = [card for card, _ in journal.chain(journal.head)]
    attempts = [entry for entry in journal.entries() if entry["event"] == "attempt"]
    if as_json:
        print_json(
            {"head": journal.head, "skills": [c.skill_id for c in cards], "attempts": len(attempts)}
        )
        return
    click.echo(f"HEAD: {(journal.head or 'base')[:12]}")
    rows = [
        (c.skill_id[:12], c.level, *_changes(c.report), str(c.parameters), c.created) for c in cards
    ]
    if rows:
        print_table(("skill", "level", "target", "base", "parameters", "created"), rows)
    kept = sum(entry["accepted"] for entry in attempts)
    click.echo(f"{len(attempts)} attempts, {kept} of them kept")


@command.command()
@_run
@json_option
def history(run: Path, *, as_json: bool) -> None:
    """Show every attempt in the journal, rejected ones included.

    \b
    Examples:
      aios evolve history runs/text
      aios evolve history runs/text --json
    """  # noqa: D301  # \b is for click
    from aios_plugins.evolution.journal import Journal

    entries = Journal.of(run).entries()
    if as_json:
        print_json(entries)
        return
    rows = []
    for entry in entries:
        if entry["event"] == "attempt":
            what = "kept" if entry["accepted"] else "rejected"
            skill = (entry.get("skill_id") or "")[:12]
            rows.append((entry["time"], entry["level"], what, skill, entry["reason"]))
        else:
            to = (entry.get("to") or "base")[:12]
            rows.append((entry["time"], "", entry["event"], to, entry.get("reason", "")))
    print_table(("time", "level", "what", "skill", "why"), rows)


@command.command()
@_run
@click.argument("to", metavar="[VERSION]", required=False)
@json_option
def rollback(run: Path, to: str | None, *, as_json: bool) -> None:
    """Go back to another version of the model: the one before HEAD, or VERSION.

    VERSION is the beginning of an id, or `base`. Nothing is deleted, so a rollback can be undone.
    Every tensor is checked against the digest that was written with the version.

    \b
    Examples:
      aios evolve rollback runs/text
      aios evolve rollback runs/text base
    """  # noqa: D301  # \b is for click
    _move(run, to, "rollback", as_json=as_json)


def _move(run: Path, to: str | None, event: str, *, as_json: bool) -> None:
    from aios_core.training import checkpoint
    from aios_plugins.evolution.rollback import rollback as roll

    done = roll(checkpoint.load(run), to, event=event)
    facts = {"from": done.before, "head": done.after, "sha256": done.sha256}
    if as_json:
        print_json(facts)
    else:
        click.echo(
            f"HEAD: {(done.after or 'base')[:12]}; every tensor is as it was ({done.sha256[:12]})"
        )


@command.command()
@_run
@click.argument("version", metavar="VERSION")
@json_option
def use(run: Path, version: str, *, as_json: bool) -> None:
    """Switch the model to VERSION: an imported or merged skill, or an older version.

    VERSION is the beginning of an id, the name of a skill, or `base`. `rollback` undoes it.

    \b
    Examples:
      aios evolve use runs/text HEAD
    """  # noqa: D301  # \b is for click
    _move(run, version, "use", as_json=as_json)


@command.command()
@_run
@json_option
def verify(run: Path, *, as_json: bool) -> None:
    """Check journal, versions and HEAD against their digests; exit code 1 if a byte has changed.

    \b
    Examples:
      aios evolve verify runs/text
    """  # noqa: D301  # \b is for click
    from aios_core.training import checkpoint
    from aios_plugins.evolution.rollback import faults

    problems = faults(checkpoint.load(run))
    if as_json:
        print_json({"faults": problems})
    else:
        for fault in problems:
            click.echo(fault)
        if not problems:
            click.echo(f"{run}: journal, versions and HEAD are as they were written")
    if problems:
        raise SystemExit(1)


@contextmanager
def _kept(run: Path) -> Iterator[None]:
    """Say after Ctrl-C, or a signal like it, what there is."""
    from aios_plugins.evolution.journal import Journal

    try:
        yield
    except KeyboardInterrupt:
        journal = Journal.of(run)
        tried = sum(entry["event"] == "attempt" for entry in journal.entries())
        click.echo(
            f"stopped; what is done is kept: HEAD is {(journal.head or 'base')[:12]}, and the "
            f"journal holds {tried} attempts. The same command goes on",
            err=True,
        )
        raise


def _facts(attempt: Attempt) -> dict[str, Any]:
    card = attempt.card
    return {
        "level": attempt.level,
        "why": attempt.why,
        "accepted": attempt.accepted,
        "reason": attempt.reason,
        "skill_id": card and card.skill_id,
        "gate": card and card.scores,
        "report": card and card.report,
        "parameters": card and card.parameters,
        "parameters_total": card and card.parameters_total,
        "seconds": card and card.seconds,
    }


def _print(attempts: list[Attempt]) -> None:
    rows = []
    for attempt in attempts:
        card, what = attempt.card, "kept" if attempt.accepted else "rejected"
        changes = ("", "") if card is None else _changes(card.scores)
        share = "" if card is None else f"{card.parameters / card.parameters_total:.2%}"
        rows.append((attempt.level, what, *changes, share, attempt.reason))
    if rows:
        print_table(("level", "what", "target", "base", "parameters", "why"), rows)
        click.echo("target and base: nats a token on the texts that decided")
        for card in (attempt.card for attempt in attempts if attempt.accepted):
            if card is not None:
                target, base = _changes(card.report)
                click.echo(
                    f"{card.level} on texts that decided nothing: target {target}, base {base}"
                )
    else:
        click.echo(
            "every level has failed on this evidence from this HEAD; expected other evidence, or "
            "another seed"
        )


def _changes(verdict: dict[str, Any]) -> tuple[str, str]:
    """Differences on target and base, with their bounds."""
    if not verdict:  # of what was imported or merged, which no gate has judged
        return "", ""
    target, base = (verdict[name] for name in ("target", "base"))
    return tuple(
        "not finite"
        if change["delta"] is None
        else f"{change['delta']:+.4f} [{change['low']:+.4f}, {change['high']:+.4f}]"
        for change in (target, base)
    )  # type: ignore[return-value]  # two


@frozen
class Evolve(Command):
    """Adapt a trained model to texts, keep what a test finds better, and undo it."""

    def build(self) -> click.Command:
        """The command."""
        return command
