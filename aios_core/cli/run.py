"""`aios run`: from one configuration file to a trained and measured model."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from aios_core.cli.common import (
    config_argument,
    json_option,
    print_json,
    set_option,
)
from aios_core.cli.evaluate import print_evaluation
from aios_core.errors import DataError

if TYPE_CHECKING:
    from aios_core.config import Resolved

_OURS: Final = (
    "checkpoints",
    "evolution",
    "tokenizer",
    "twin",
    "evaluation.json",
    "metrics.jsonl",
    "run.lock.toml",
    "run.log",
)
"""What a run writes into its folder, and all that ``--fresh`` removes."""


@click.command()
@config_argument
@set_option
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the run; unset: runs/NAME.",
)
@click.option(
    "--fresh/--resume",
    help="Throw away what an earlier run left in the folder, or go on from it (the default).",
)
@click.option(
    "--allow-changes",
    is_flag=True,
    help="Repeat a run.lock.toml although its plugins have other versions now.",
)
@json_option
def command(
    *,
    file: Path,
    overrides: tuple[str, ...],
    output: Path | None,
    fresh: bool,
    allow_changes: bool,
    as_json: bool,
) -> None:
    """Train the model that FILE describes, and measure it.

    Ctrl-C saves the step that is being done; the same command goes on from there. FILE may be the
    run.lock.toml of another run, which it repeats.

    \b
    Examples:
      aios run examples/demo.toml
      aios run examples/demo.toml --set noise.type=cosine --output runs/cosine
      aios run runs/cosine/run.lock.toml --output runs/again
    """  # noqa: D301  # \b is for click
    from aios_core import logs
    from aios_core.config import load
    from aios_core.config.schema import RUNS
    from aios_core.experiment.evaluate import evaluate_run
    from aios_core.training.trainer import train

    resolved = load(file, overrides=overrides, allow_changes=allow_changes)
    if not overrides:
        _check_data(file, resolved)
    logs.follow(resolved.config.logging)
    folder = output or RUNS / resolved.config.name
    if fresh:
        _clear(folder)
    with logs.to_file(folder / "run.log"):
        saved = train(resolved, folder, progress=not as_json)
        results = evaluate_run(folder, registry=resolved.registry, progress=not as_json)
    if as_json:
        metrics = {part: found["metrics"] for part, found in results.items()}
        head = results["model"]["head"]
        print_json(
            {"folder": str(folder), "checkpoint": str(saved), "head": head, "metrics": metrics}
        )
        return
    print_evaluation(results)
    click.echo(f"\n{folder}")


def _check_data(file: Path, resolved: Resolved) -> None:
    """A lock file repeats its run only on the texts of that run."""
    from aios_core.training.data import prepare

    with file.open("rb") as lines:
        data = tomllib.load(lines).get("lock", {}).get("data", {})
    if data and data.get("fingerprint") != prepare(resolved).fingerprint:
        raise DataError(
            f"{file}: lock.data: the texts, or the tokenizer made from them, are not those of the "
            "run that wrote this file; want them as they were, or a --set for a run of its own"
        )


def _clear(folder: Path) -> None:
    from aios_core.files import remove_folder

    for name in _OURS:
        path = folder / name
        if path.is_dir():
            remove_folder(path)
        else:
            path.unlink(missing_ok=True)
