"""Options of `aios sample` that are those of the engine, by the same names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import click

from aios_core import strict_json
from aios_core.cli.common import ExistingFile
from aios_core.cli.numbers import COUNT, Number, whole
from aios_core.contracts import Caching

Function = TypeVar("Function", bound=Callable[..., Any])


def _schema(context: click.Context, parameter: click.Parameter, value: Path | None) -> Any:
    """The schema in a file."""
    if value is None:
        return None
    try:
        schema = strict_json.loads(value.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise click.BadParameter(f"{value}: {error}", context, parameter) from error
    if not isinstance(schema, dict):
        raise click.BadParameter(
            f"{value}: expected a JSON object, got {type(schema).__name__}", context, parameter
        )
    return schema


_OPTIONS: Final = (
    click.option(
        "--temperature",
        type=Number(0, 1e6),
        help="Sampling temperature: 0 always takes the most likely token, 1 draws from the model's "
        "own probabilities.  [default: as configured]",
    ),
    click.option("--top-k", type=COUNT, help="Draw only from this many of the most likely tokens."),
    click.option(
        "--top-p",
        type=Number(0, 1, above=True),
        help="Draw only from the most likely tokens whose probabilities sum to this (0 to 1).",
    ),
    click.option(
        "--min-p",
        type=Number(0, 1),
        help="Drop tokens less probable than this fraction of the most likely token (0 to 1).",
    ),
    click.option(
        "--repetition-penalty",
        type=Number(0, 1e6, above=True),
        help="Values above 1 discourage repeated tokens; 1 disables the penalty.",
    ),
    click.option(
        "suppress_tokens",
        "--suppress-token",
        metavar="ID",
        multiple=True,
        type=whole(0, 2**31 - 1),
        help="Id of a token that is never drawn; may be repeated.",
    ),
    click.option(
        "--raw",
        is_flag=True,
        help="Continue prompts as they are, without the template of the run's data set.",
    ),
    click.option("--ignore-eos", is_flag=True, help="Continue after an end-of-text token."),
    click.option(
        "--regex",
        metavar="PATTERN",
        help="Generate only text that matches this regular expression.",
    ),
    click.option(
        "--json-schema",
        metavar="FILE",
        type=ExistingFile(),
        callback=_schema,
        help="Generate only JSON that is valid by the JSON Schema in FILE.",
    ),
    click.option(
        "--constraint",
        metavar="TYPE:PATTERN",
        help="Generate only text that satisfies this pattern of a constraint, as in "
        "'regex:[a-z ]+'; `aios plugins list` shows them.",
    ),
    click.option(
        "--sampler",
        metavar="NAME",
        help="Use this sampler instead of the run's; `aios plugins list` shows them.",
    ),
    click.option(
        "num_inference_steps",
        "--steps",
        type=COUNT,
        help="Number of denoising steps, for samplers that have such a setting.",
    ),
    click.option(
        "--block-size",
        type=COUNT,
        help="Generate in blocks of this many tokens, from left to right.",
    ),
    click.option(
        "--cache",
        type=click.Choice(get_args(Caching)),
        help="With --block-size: reuse cached keys and values of the text before the current block "
        "(prefix), or of all text outside it (dual). Faster, but approximate.",
    ),
    click.option(
        "--guidance-scale",
        type=Number(-1e6, 1e6),
        help="Guidance strength: above 1 follows the prompt more closely; 1 disables guidance.",
    ),
    click.option("--negative-prompt", metavar="TEXT", help="Text that guidance leads away from."),
    click.option(
        "--num-memories",
        type=COUNT,
        help="Use at most this many memories for a text.  [default: as many as in training]",
    ),
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
