"""What commands do with a run of several modalities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

from aios_core.cli.common import print_json, print_table
from aios_core.cli.network import chosen

if TYPE_CHECKING:
    from aios_core.joint.engine import JointEngine, JointOutput

Function = TypeVar("Function", bound=Callable[..., Any])

_NAMES: Final = ("text", "image", "audio", "given", "to", "order", "mask", "output")
"""Parameters that runs of several modalities alone have."""

TEXTS_ALONE: Final = (
    *("prompt", "prompts", "infill", "length", "mode", "memory", "no_memory", "watch", "stream"),
    *("top_k", "top_p", "min_p", "repetition_penalty", "suppress_tokens", "raw", "ignore_eos"),
    *("regex", "json_schema", "constraint", "block_size", "cache", "negative_prompt"),
    "num_memories",
)
"""Parameters of `aios sample` that a network of several modalities does not serve."""


_OPTIONS: Final = (
    click.option(
        "--text",
        metavar="TEXT",
        help="Of a run of several modalities: the text (or its file) that others are made from.",
    ),
    click.option("--image", metavar="FILE", help="Likewise: a picture."),
    click.option("--audio", metavar="FILE", help="Likewise: a sound, a WAV."),
    click.option(
        "--given",
        metavar="NAME=FILE",
        multiple=True,
        help="Likewise: a file of any modality, by its name; may be repeated.",
    ),
    click.option(
        "--to",
        metavar="NAMES",
        help="Of a run of several modalities: what is made, as in image,audio. What is given as "
        "well is continued: a sound goes on, a picture is painted anew where --mask is white.",
    ),
    click.option(
        "--order",
        metavar="NAMES",
        help="Make these first, and then the rest of --to: text, or text,image+audio.  [default: "
        "all at once]",
    ),
    click.option(
        "--mask", metavar="FILE", help="Picture of what of --image is painted anew: white."
    ),
    click.option(
        "-o",
        "--output",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for pictures and sounds, as PNG and WAV.",
    ),
)


def options(function: Function) -> Function:
    """Options of `aios sample` that runs of several modalities alone have."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def served(context: click.Context, folder: Path, values: dict[str, Any]) -> bool:
    """Make what `aios sample` asks of a run of several modalities; False: it is one of texts.

    Args:
        context: of the command.
        folder: of the run.
        values: parameters of the command; those of `options` are taken out.

    Raises:
        click.UsageError: an option is for the other sort of run.
    """
    from aios_core.experiment.joint import is_joint

    own = {name: values.pop(name) for name in _NAMES}
    if is_joint(folder):
        _sample(context, folder, own)
        return True
    if used := [name for name, value in own.items() if value]:
        raise click.UsageError(
            f"--{used[0]} is for runs of several modalities, and {folder} is one of texts; leave "
            "it out"
        )
    return False


def _sample(context: click.Context, folder: Path, own: Mapping[str, Any]) -> None:
    from aios_core.joint.engine import JointEngine
    from aios_core.joint.items import picture

    values, to, order, mask = context.params, own["to"], own["order"], own["mask"]
    for name in TEXTS_ALONE:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is for runs of texts, and {folder} is one of several "
                "modalities; leave it out"
            )
    if to is None:
        raise click.UsageError("--to says what is made, as in --to image,audio; expected it")
    if wrong := [pair for pair in own["given"] if "=" not in pair]:
        raise click.UsageError(f"--given: expected NAME=FILE, got {wrong[0]!r}")
    names = [name.strip() for name in to.split(",") if name.strip()]
    engine = JointEngine.load(folder, overrides=(*chosen()[0], *values["overrides"]))
    pairs = [(name, file) for name, _, file in (pair.partition("=") for pair in own["given"])]
    kept = ("temperature", "num_inference_steps", "guidance_scale", "seed")
    made = engine.generate(
        given_items(engine, pairs, {name: own[name] for name in ("text", "image", "audio")}),
        to=names,
        num_return_sequences=values["num"],
        order=stages(order, names),
        mask=None if mask is None else picture(Path(mask), channels=1)[..., 0] > 127,
        sampler=None if values["sampler"] is None else engine.sampler(values["sampler"]),
        **{name: values[name] for name in kept if values[name] is not None},
    )
    write(made, own["output"], as_json=values["as_json"])


def print_joint(results: Mapping[str, Any]) -> None:
    """Print what `evaluate_joint` returns: losses by segment, and each direction.

    Args:
        results: as returned.
    """
    model, samples = results["model"], results["samples"]
    rows = [
        ("model", "loss", name, f"{loss:.4g}", "", "") for name, loss in model["losses"].items()
    ]
    for name, measure in samples["metrics"].items():
        direction, _, value = name.rpartition(".")
        error = "" if measure["stderr"] is None else f"{measure['stderr']:.2g}"
        rows.append(
            ("samples", value, direction, f"{measure['value']:.4g}", error, measure["unit"] or "")
        )
    print_table(("of", "metric", "segments", "value", "s.e.", "unit"), rows)
    calls = max(samples["nfe"].values(), default=0)
    click.echo(
        f"\n{model['rows']} held-out rows; {samples['samples']} samples a direction, at most "
        f"{calls} network calls a batch, guidance {samples['guidance_scale']:g}; "
        f"{model['parameters']:,} parameters, {100 * model['trunk_share']:.1f} % of them shared"
    )


def given_items(
    engine: JointEngine, values: Sequence[tuple[str, str]], texts: Mapping[str, str | None]
) -> dict[str, Any]:
    """Items by name, from files or, of texts, as they are.

    Args:
        engine: whose codecs say what a file holds.
        values: names with files.
        texts: names with a text or the path of a file; None: not given.

    Raises:
        click.UsageError: a name is no modality of the run, or given twice.
        DataError: a file cannot be read.
    """
    from aios_core.joint.items import media_type, read

    codecs, given = engine.trained.codecs, dict[str, Any]()
    for name, value in (*((n, v) for n, v in texts.items() if v is not None), *values):
        if name not in codecs:
            raise click.UsageError(
                f"no modality {name!r} in this run; expected one of {', '.join(codecs)}"
            )
        if name in given:
            raise click.UsageError(f"{name!r} is given twice; expected one")
        plain = media_type(codecs[name]) == "text/plain" and not Path(value).is_file()
        given[name] = value if plain else read(Path(value), codecs[name])
    return given


def stages(order: str | None, to: Sequence[str]) -> list[list[str]] | None:
    """``text,image+audio`` as names in stages; what is left of ``to`` comes last, together.

    Raises:
        click.UsageError: a name stands twice, or is not made.
    """
    if order is None:
        return None
    made = [[name.strip() for name in stage.split("+")] for stage in order.split(",")]
    flat = [name for stage in made for name in stage]
    if wrong := [name for name in flat if name not in to or flat.count(name) > 1]:
        raise click.UsageError(
            f"--order: {wrong[0]!r} is not made once; expected names of --to, {', '.join(to)}"
        )
    left = [name for name in to if name not in flat]
    return [*made, left] if left else made


def write(output: JointOutput, folder: Path | None, *, as_json: bool) -> None:
    """Print texts, write pictures and sounds, and say where they are.

    Raises:
        click.UsageError: there is no folder for what is no text.
    """
    from aios_core.joint import items

    written: dict[str, list[str]] = {}
    for name, each in output.shown.items():
        for number, shown in enumerate(each):
            if folder is None:
                if shown.media_type != "text/plain":
                    raise click.UsageError(
                        f"{name} is {shown.media_type}; expected --output DIR to write it to"
                    )
                text = shown.data.decode()
                written.setdefault(name, []).append(text)
                if not as_json:
                    click.echo(text)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                path = items.write(folder, name, number, shown)
                written.setdefault(name, []).append(str(path))
                if not as_json:
                    click.echo(path)
    if as_json:
        print_json(
            {"items": written, "seed": output.seed, "nfe": output.nfe, "seconds": output.seconds}
        )
