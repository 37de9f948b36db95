"""`aios sample`: texts from a trained run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from aios_core.cli.common import json_option, print_json, set_option
from aios_core.cli.watch import Screen, printable

_at_least_1 = click.IntRange(min=1)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--prompt", metavar="TEXT", help="Text that every sample begins with.")
@click.option("--infill", metavar="TEXT", help="Text with gaps: ___, <mask>, or <mask:12>.")
@click.option("--gap", default=8, show_default=True, type=_at_least_1, help="Tokens of a gap.")
@click.option("--num", default=1, show_default=True, type=_at_least_1, help="Number of samples.")
@click.option("--length", type=_at_least_1, help="Tokens a sample; unset: as configured.")
@click.option(
    "--mode",
    type=click.Choice(["diffusion", "ar"]),
    help="Which model writes: that of the run, or its autoregressive twin.  [default: the run's]",
)
@click.option("--seed", type=click.IntRange(min=0), help="Unset: the seed of the run.")
@click.option("--watch", is_flag=True, help="Show the first sample as it is written.")
@set_option
@json_option
def command(
    *,
    folder: Path,
    prompt: str | None,
    infill: str | None,
    gap: int,
    num: int,
    length: int | None,
    mode: Any,
    seed: int | None,
    watch: bool,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write texts with the model that `aios run` left in DIR.

    \b
    Examples:
      aios sample runs/demo --num 4
      aios sample runs/demo --prompt "Return the" --set sampler.steps=16 --watch
      aios sample runs/demo --infill "Return ___ if the file <mask:4> exists."
      aios sample runs/demo --prompt "Return the" --mode ar
    """  # noqa: D301  # \b is for click
    if infill is not None and (prompt is not None or length is not None):
        raise click.UsageError("--infill says where text is wanted; leave --prompt and --length")
    if infill is not None and mode == "ar":
        raise click.UsageError("only diffusion fills gaps; leave --mode ar")
    from aios_core.inference import ArrowEngine

    if length is not None:
        overrides = (*overrides, f"sampling.length={length}")
    engine = ArrowEngine.load(folder, overrides=overrides, context=length, twin=mode == "ar")
    with Screen(engine.tokenizer) as screen:
        options: dict[str, Any] = {"num_return_sequences": num, "seed": seed}
        if watch:
            options["callback_on_step_end"] = screen.show
        if infill is not None:
            output = engine.infill(infill, gap=gap, **options)
        else:
            output = engine.generate(prompt or "", mode=mode, **options)
    if as_json:
        rows = zip(output.texts, output.finish_reasons, output.seeds, strict=True)
        print_json(
            [
                {"text": text, "number": i, "finish_reason": reason, "seed": row_seed}
                for i, (text, reason, row_seed) in enumerate(rows)
            ]
        )
        return
    shown_seed = engine.models[output.mode].resolved.config.seed if seed is None else seed
    for number, text in enumerate(output.texts):
        if num > 1:
            click.secho(f"--- {number + 1} of {num}, seed {shown_seed}", dim=True)
        click.echo(printable(text) if sys.stdout.isatty() else text)
