"""`aios evaluate`: measure a trained model and its samples."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import click

from aios_core.cli.common import (
    ExistingFile,
    check_overrides,
    json_option,
    print_json,
    print_table,
    set_option,
)
from aios_core.cli.network import chosen, network_argument


@click.command(name="evaluate")
@network_argument("folder", "DIR", click.Path(exists=True, file_okay=False, path_type=Path))
@set_option
@click.option(
    "--texts",
    metavar="FILE",
    type=ExistingFile(),
    help="Measure on all texts in FILE instead of the run's held-out texts.",
)
@click.option(
    "--other-rows",
    is_flag=True,
    help="Measure on the held-out rows that --set of dataset gives, not on the run's own.",
)
@click.option(
    "--split",
    type=click.Choice(["validation", "test"]),
    default="validation",
    help="Of the data set, which rows to measure on.  [default: validation]",
)
@click.option("--base", is_flag=True, help="Measure the model as it was trained, without skills.")
@json_option
def command(
    folder: Path,
    overrides: tuple[str, ...],
    texts: Path | None,
    *,
    other_rows: bool,
    split: Literal["validation", "test"],
    base: bool,
    as_json: bool,
) -> None:
    """Measure a trained model and its samples.

    DIR is the folder of a run; skills that `aios evolve` kept are applied. Nothing is written to
    it. Keys of sampler, sampling, metrics and evaluation may have other values than in the run.

    Beside the nats per token stand what "uniform", every token as likely, and "unigram", the counts
    of the tokens in these texts, would reach: a network that learned something has less.

    The held-out texts must be the same as when the run was trained. --split test measures on the
    test split, where the data set has one (dataset.test, of the run or by --set). The texts of
    --texts are read as dataset.type = 'file' reads them, with the tokenizer of the run, and with
    its columns where it has prompts and answers or chats. --other-rows takes any data set that
    --set describes, a sudoku of fewer clues say. How many of the rows are also rows that the
    network was trained on is said.

    \b
    Examples:
      aios evaluate runs/text
      aios evaluate runs/text --set sampler.steps=8 --set sampling.num_samples=64
      aios evaluate runs/text --texts README.md
      aios evaluate runs/text --arm "cosine · ancestral · steps 16" --base
      aios evaluate runs/demo --other-rows --set dataset.clues=0.2
    """  # noqa: D301  # \b is for click
    from aios_core.cli.joint import print_joint
    from aios_core.experiment.evaluate import evaluate_run
    from aios_core.experiment.joint import evaluate_joint, is_joint
    from aios_core.training.measured import OtherTextsError

    check_overrides(overrides, {"dataset.path": "texts"})
    if other_rows and texts is not None:
        raise click.UsageError("--texts and --other-rows each say what to measure on: use one")
    if other_rows and not any(override.startswith("dataset.") for override in overrides):
        raise click.UsageError("--other-rows needs a --set of dataset, as in dataset.seed=1")
    if texts is not None and split != "validation":
        raise click.UsageError("--texts measures on all of FILE: leave out --split")
    own, twin = chosen()
    if is_joint(folder):
        if base or texts is not None or other_rows or split != "validation":
            raise click.UsageError(
                f"{folder}: is a run of several modalities, which is measured on its own held-out "
                "rows; leave out --base, --texts, --other-rows and --split"
            )
        joint = evaluate_joint(folder, overrides=(*own, *overrides))
        if as_json:
            print_json(joint)
        else:
            print_joint(joint)
        return
    try:
        results = evaluate_run(
            folder,
            overrides=(*own, *overrides),
            evolved=not base,
            texts=texts,
            other=other_rows,
            split=split,
            twin=twin,
        )
    except OtherTextsError as error:
        raise OtherTextsError(f"{error}, or measure on other texts by --texts FILE") from error
    if as_json:
        print_json(results)
    else:
        print_evaluation(results)


def print_evaluation(results: dict[str, Any]) -> None:
    """Print what `evaluate_run` returns: the network, its twin, yardsticks, its samples.

    Args:
        results: as returned.
    """
    rows: list[tuple[str, ...]] = []
    for part in [part for part in ("model", "twin") if part in results]:
        for name, measure in results[part]["metrics"].items():
            perplexity = results[part]["perplexity"].get(name)
            shown = "" if perplexity is None else f"{perplexity:.4g}"
            rows.append((part, *_row(name, measure), shown, ""))
    model, samples = results["model"], results.get("samples", {})
    for name, nats in model["yardsticks"].items():
        rows.append((name, "nll", f"{nats:.4g}", "", "nats/token", f"{math.exp(nats):.4g}", ""))
        if model["exact"]:
            bits = nats * model["tokens"] / model["bytes"] / math.log(2)
            rows.append((name, "nll_bpb", f"{bits:.4g}", "", "bits/byte", "", ""))
    for name, measure in samples.get("metrics", {}).items():
        reference = samples["reference"].get(name)
        real = "" if reference is None else f"{reference['value']:.4g}"
        rows.append(("samples", *_row(name, measure), "", real))
    print_table(("of", "metric", "value", "s.e.", "unit", "perplexity", "held-out text"), rows)
    if model["head"] is not None:
        click.echo(f"\nwith the skills up to {model['head'][:12]}; --base is without")
    texts = "held-out tokens" if model["texts"] is None else f"tokens of {model['texts']}"
    known = model["trained_on"]
    click.echo(
        f"\n{model['tokens']} {texts}, {model['bytes']} bytes"
        + (f", {known} of {model['rows']} rows trained on as well" if known else "")
        + (f", times from {model['time_epsilon']:g} on" if model["mode"] == "diffusion" else "")
    )
    if not model["exact"]:
        click.echo(
            "no bits a byte: the tokenizer loses a part of these texts (decoding their tokens does "
            "not give them back), so it predicts less than their bytes"
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
