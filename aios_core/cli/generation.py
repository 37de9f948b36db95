"""Options of `aios sample` that are those of the engine, by the same names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from aios_core.cli.numbers import COUNT, Number, whole

Function = TypeVar("Function", bound=Callable[..., Any])


def _schema(context: click.Context, parameter: click.Parameter, value: Path | None) -> Any:
    """The schema in a file."""
    if value is None:
        return None
    try:
        found = json.loads(value.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise click.BadParameter(f"{value}: {error}", context, parameter) from error
    if not isinstance(found, dict):
        raise click.BadParameter(f"{value}: holds no JSON object", context, parameter)
    return found


_OPTIONS: Final = (
    click.option("--temperature", type=Number(0, 1e6), help="0 takes the likeliest."),
    click.option("--top-k", type=COUNT, help="Draw one of the k likeliest tokens."),
    click.option(
        "--top-p",
        type=Number(0, 1, above=True),
        help="Draw one of those with this probability together.",
    ),
    click.option(
        "--min-p",
        type=Number(0, 1),
        help="None less likely than this times the likeliest.",
    ),
    click.option(
        "--repetition-penalty",
        type=Number(0, 1e6, above=True),
        help="More than 1 avoids what is there.",
    ),
    click.option(
        "suppress_tokens",
        "--suppress-token",
        metavar="ID",
        multiple=True,
        type=whole(0, 2**31 - 1),
        help="Token id that is never drawn; may be repeated.",
    ),
    click.option("--ignore-eos", is_flag=True, help="Go on behind the end of a text."),
    click.option("--regex", metavar="PATTERN", help="What is written matches it, for certain."),
    click.option(
        "--json-schema",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        callback=_schema,
        help="What is written is JSON that satisfies the schema in FILE, for certain.",
    ),
    click.option("--sampler", metavar="NAME", help="Another sampler than the run's."),
    click.option(
        "num_inference_steps", "--steps", type=COUNT, help="Of the sampler, if it has them."
    ),
    click.option("--block-size", type=COUNT, help="Write so many positions at a time."),
    click.option(
        "--cache",
        type=click.Choice(["none", "prefix", "dual"]),
        help="With blocks: do not read again what stands before, or all outside, the present one. "
        "Faster, and an approximation.",
    ),
    click.option(
        "--guidance-scale",
        type=Number(-1e6, 1e6),
        help="More than 1 follows the prompt more; 1 is plain.",
    ),
    click.option("--negative-prompt", metavar="TEXT", help="Guidance leads away from it."),
    click.option("--num-memories", type=COUNT, help="With memories: at most so many."),
)


def generation_options(function: Function) -> Function:
    """Options by the names of `Settings`; pass what is given through `given_options`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def given_options(values: dict[str, Any]) -> dict[str, Any]:
    """What the user gave, without what was left out."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and value is not False and value != ()
    }
