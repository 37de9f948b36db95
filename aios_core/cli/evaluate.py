"""`aios evaluate`: measure a trained model and its samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aios_core.cli.common import json_option, print_json, print_table, set_option


@click.command(name="evaluate")
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@set_option
@click.option("--base", is_flag=True, help="As it was trained, without what it has learned since.")
@json_option
def command(folder: Path, overrides: tuple[str, ...], *, base: bool, as_json: bool) -> None:
    """Measure a trained model and its samples.

    DIR is the folder of a run, the skills that `aios evolve` has kept included. Keys of sampler,
    sampling, metrics and evaluation may be set to other values than the run had. The autoregressive
    twin that judges the texts is trained first where there is none yet.

    \b
    Examples:
      aios evaluate runs/demo
      aios evaluate runs/demo --set sampler.steps=8 --set sampling.num_samples=64
      aios evaluate runs/demo --base
    """  # noqa: D301  # \b is for click
    from aios_core.experiment.evaluate import evaluate_run

    results = evaluate_run(folder, overrides=overrides, progress=not as_json, evolved=not base)
    if as_json:
        print_json(results)
    else:
        print_evaluation(results)


def print_evaluation(results: dict[str, Any]) -> None:
    """Print what `evaluate_run` returns: the network, its twin, its samples.

    Args:
        results: as returned.
    """
    rows = [
        (part, *_row(name, measure), "")
        for part in ("model", "twin")
        for name, measure in results.get(part, {}).get("metrics", {}).items()
    ]
    samples = results.get("samples", {})
    for name, measure in samples.get("metrics", {}).items():
        reference = samples["reference"].get(name)
        real = "" if reference is None else f"{reference['value']:.4g}"
        rows.append(("samples", *_row(name, measure), real))
    print_table(("of", "metric", "value", "s.e.", "unit", "held-out text"), rows)
    model = results["model"]
    if model["head"] is not None:
        click.echo(f"\nwith the skills up to {model['head'][:12]}; --base is without")
    click.echo(
        f"\n{model['tokens']} held-out tokens, {model['bytes']} bytes"
        + (f", times from {model['time_epsilon']:g} on" if model["mode"] == "diffusion" else "")
    )
    if samples:
        click.echo(
            f"{samples['samples']} samples of {samples['length']} tokens, {samples['nfe']:g} "
            f"network calls a batch, probabilities in {samples['dtype']}"
        )


def _row(name: str, measure: dict[str, Any]) -> tuple[str, str, str, str]:
    stderr = measure["stderr"]
    error = "" if stderr is None else f"{stderr:.2g}"
    return name, f"{measure['value']:.4g}", error, measure["unit"] or ""
