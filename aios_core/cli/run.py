"""`aios run`: from one configuration file to a trained and measured model."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from aios_core.cli.common import (
    allow_changes_option,
    config_argument,
    json_option,
    print_json,
    set_option,
)
from aios_core.cli.evaluate import print_evaluation
from aios_core.errors import ConfigError

if TYPE_CHECKING:
    from aios_core.config import Resolved

_OURS: Final = (
    "checkpoints",
    "evolution",
    "modalities",
    "samples",
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
    help="Folder of the run.  [default: runs/NAME]",
)
@click.option(
    "--fresh/--resume",
    help="Delete what an earlier run left in the folder, or continue that run.  [default: resume]",
)
@allow_changes_option
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

    Ctrl-C saves the current step, and the same command continues from it. If FILE is the
    run.lock.toml of another run, that run is repeated.

    \b
    Examples:
      aios run examples/text.toml --output runs/first
      aios run examples/text.toml --set noise.type=cosine --output runs/cosine
      aios run runs/cosine/run.lock.toml --output runs/again
    """  # noqa: D301  # \b is for click
    from aios_core import logs
    from aios_core.config import load
    from aios_core.config.schema import RUNS
    from aios_core.experiment.arms import is_ablation
    from aios_core.experiment.run import ready, run
    from aios_core.training.initial import check_apart

    resolved = load(file, overrides=overrides, allow_changes=allow_changes)
    data = None if overrides else _locked_data(file)
    logs.follow(resolved.config.logging)
    folder = output or RUNS / resolved.config.name
    if is_ablation(folder):
        raise ConfigError(
            f"{folder}: holds an ablation, which a run must not be mixed with; expected another "
            f"`output`, or another name than {resolved.config.name!r}"
        )
    if fresh:
        check_apart(resolved, folder)
        _clear(folder)
    if resolved.config.modalities:
        _run_joint(resolved, folder, as_json=as_json)
        return
    prepared = ready(resolved, folder, data=data)
    with logs.to_file(folder / "run.log"):
        saved, results = run(resolved, folder, prepared, progress=not as_json)
    if as_json:
        metrics = {part: evaluated["metrics"] for part, evaluated in results.items()}
        head = results["model"]["head"]
        print_json(
            {"folder": str(folder), "checkpoint": str(saved), "head": head, "metrics": metrics}
        )
        return
    print_evaluation(results)
    click.echo(f"\n{folder}")


def _run_joint(resolved: Resolved, folder: Path, *, as_json: bool) -> None:
    """Train a network of several modalities."""
    from aios_core import logs
    from aios_core.cli.joint import print_joint
    from aios_core.experiment.joint import run_joint
    from aios_core.joint.material import Media
    from aios_core.training.going_on import check_same

    check_same(resolved, folder)
    media = Media.of(resolved)
    with logs.to_file(folder / "run.log"):
        saved, results = run_joint(resolved, folder, media, progress=not as_json)
    if as_json:
        print_json({"folder": str(folder), "checkpoint": str(saved), **results})
        return
    print_joint(results)
    click.echo(f"\n{folder}")


def _locked_data(file: Path) -> str | None:
    """Fingerprint of the data that a lock file names: it repeats its run on no other texts."""
    values = tomllib.loads(file.read_text("utf-8-sig"))
    fingerprint = values.get("lock", {}).get("data", {}).get("fingerprint")
    return str(fingerprint) if fingerprint else None


def _clear(folder: Path) -> None:
    from aios_core.files import remove_folder

    for name in _OURS:
        path = folder / name
        if path.is_dir():
            remove_folder(path)
        else:
            path.unlink(missing_ok=True)
