"""`aios sample`: texts from a trained run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import click
from click.core import ParameterSource

from aios_core.cli import joint
from aios_core.cli.common import check_overrides, json_option, print_json, set_option
from aios_core.cli.generation import generation_options, given_options
from aios_core.cli.network import chosen, network_argument
from aios_core.cli.numbers import COUNT, SEED
from aios_core.cli.watch import Screen, printable
from aios_core.errors import InferenceError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aios_core.inference import ArrowEngine, Output, Update
    from aios_core.inference.output import Mode


_SECTIONS: Final = (
    *("sampler", "sampling", "conditioner", "storage", "embedding", "seed", "training"),
    *("plugins", "memory"),
)
"""What a configuration says of writing."""

_KEYS: Final = {
    "sampler": "sampler",
    "sampler.steps": "num_inference_steps",
    "sampling.length": "length",
    "seed": "seed",
    "memory.store": "memory",
    "memory.k": "num_memories",
    "conditioner.store": "memory",
    "conditioner.k": "num_memories",
    **{
        f"sampling.{name}": name
        for name in (
            *("temperature", "top_k", "top_p", "min_p", "repetition_penalty"),
            *("suppress_tokens", "block_size", "cache"),
        )
    },
}
"""Its keys, and the parameters that set the same."""


@click.command()
@network_argument("folder", "DIR", click.Path(path_type=Path))
@click.option(
    "--prompt",
    metavar="TEXT",
    help="Text that every sample starts with or, where the data has prompts or chats, what "
    "is asked, put into the template of its data. Names of special tokens in it are plain text.",
)
@click.option(
    "--prompts",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Several such texts: lines of a text file, or rows of CSV, JSON lines, Parquet or what "
    "else is read: the columns that prompts of the run's data are made of, or `text`.",
)
@click.option(
    "--infill",
    metavar="TEXT",
    help="Text with gaps to fill: ___, <mask>, <mask:12> for 12 tokens, or <mask:*> for as many as "
    "make the text behind it likeliest. A backslash before one keeps it as text.",
)
@click.option(
    "--gap",
    default=8,
    show_default=True,
    type=COUNT,
    help="Number of tokens of a gap that names no number.",
)
@click.option("-n", "--num", default=1, show_default=True, type=COUNT, help="Number of samples.")
@click.option(
    "--length",
    type=COUNT,
    help="Number of tokens of a sample, prompt included. More than in training are written in "
    "windows as long as these.  [default: as configured]",
)
@click.option(
    "--mode",
    type=click.Choice(["diffusion", "ar"]),
    help="Generate with the diffusion model, or with its autoregressive twin, if the run has "
    "one.  [default: the model of the run]",
)
@click.option(
    "--seed",
    type=SEED,
    help="Seed of the random draws.  [default: that of the run, so the same command gives the "
    "same texts]",
)
@click.option(
    "--memory",
    metavar="PLACE",
    help="Use the memories of this store: a folder, or TYPE:URI as in lancedb:notes.  "
    "[default: the store of the run, if it was trained with one and a prompt is given]",
)
@click.option("--no-memory", is_flag=True, help="Do not use the memories of the run.")
@joint.options
@generation_options
@click.option("--watch", is_flag=True, help="Show the first sample while it is generated.")
@click.option(
    "--stream",
    is_flag=True,
    help="Print text as soon as it is final; with --json, print every step.",
)
@set_option
@json_option
def command(
    *,
    folder: Path,
    prompt: str | None,
    prompts: Path | None,
    infill: str | None,
    gap: int,
    num: int,
    length: int | None,
    mode: Any,
    seed: int | None,
    memory: str | None,
    no_memory: bool,
    watch: bool,
    stream: bool,
    overrides: tuple[str, ...],
    as_json: bool,
    **generation: Any,
) -> None:
    """Generate texts with the model that `aios run` trained in DIR.

    If DIR is an ablation, the model of its best arm is used, unless --arm names another.

    \b
    Examples:
      aios sample runs/text --num 4
      aios sample runs/text --prompt "Return the" --steps 16 --temperature 0.8 --watch
      aios sample runs/text --prompts examples/sentences.txt --json
      aios sample runs/text --infill "Return ___ if the file <mask:4> exists."
      aios sample runs/text --prompt "Return the" --mode ar --stream
      aios sample runs/text --regex "[a-z]+(, [a-z]+)*" --top-p 0.9 --json
      aios sample runs/text --json-schema examples/person.json --block-size 16
      aios sample runs/text --constraint "regex:[0-9]+" --length 8
      aios sample runs/text --arm "cosine · ancestral · steps 16" --seed 1
      aios sample runs/text --sampler threshold --block-size 16 --cache dual
      aios sample runs/text --prompt "Return the" --guidance-scale 2 --negative-prompt "Print"

    Of a run of several modalities, any of them from any others:

    \b
      aios sample runs/digits --text seven --to image,audio -o out/
      aios sample runs/digits --image out/image-0.png --to text
      aios sample runs/digits --to text,image,audio --order text -n 4 -o out/

    With memories, for a model that was trained with some:

    \b
      aios memory add examples/notes.jsonl --store runs/store
      aios run examples/text.toml --set 'conditioner={type="memory",k=4,store="runs/store"}' --output runs/mem
      aios sample runs/mem --prompt "The gate" --memory runs/store --guidance-scale 2
    """  # noqa: D301, E501  # \b is for click
    check_overrides(overrides, _KEYS, _SECTIONS)
    if joint.served(click.get_current_context(), folder, generation):
        return
    if prompt is not None and prompts is not None:
        raise click.UsageError("--prompts has the texts that samples start with; leave --prompt")
    starts = prompt is not None or prompts is not None
    _check_infill(infill, whole=not starts and length is None, mode=mode)
    _check_memory(memory, generation["num_memories"], no_memory=no_memory)
    if stream:
        several = (num > 1 or prompts is not None) and not as_json
        _check_stream(several=several, other=infill is not None or watch)
    from aios_core.inference import ArrowEngine
    from aios_core.inference.prompts import prompts_of

    if length is not None:
        overrides = (*overrides, f"sampling.length={length}")
    own, twin = chosen()
    engine = ArrowEngine.load(
        folder,
        overrides=(*own, *overrides),
        context=length,
        twin=mode == "ar" and (twin or True),
        memory=memory,
    )
    raw, dataset = generation["raw"], engine.models[engine.mode].resolved.config.dataset
    named = [] if prompts is None else prompts_of(prompts, dataset, raw=raw)
    for where, text in named:
        _check_prompt(engine, where, text, raw=raw)
    cued = bool(prompt or infill or named)
    recalls = not no_memory and cued and _remembers(engine, mode, generation)
    given = given_options({**generation, "memory_guided": recalls or memory is not None})
    options = {"num_return_sequences": num, "seed": seed, **given}
    given_texts = [text for _, text in named] or prompt or ""
    if stream:
        updates = engine.stream(given_texts, mode=mode, **options)
        _print_stream(updates, _written(engine, prompt or "", raw=raw), as_json=as_json)
        return
    with Screen(engine.tokenizer) as screen:
        if watch:
            options["callback_on_step_end"] = screen.show
        if infill is not None:
            output = engine.infill(infill, gap=gap, **options)
        else:
            output = engine.generate(given_texts, mode=mode, **options)
    if as_json:
        print_json(_rows(output))
        return
    _print(output, engine.models[output.mode].resolved.config.seed if seed is None else seed)


def _check_infill(infill: str | None, *, whole: bool, mode: str | None) -> None:
    gap = click.get_current_context().get_parameter_source("gap")
    if infill is None:
        if gap is not ParameterSource.DEFAULT:
            raise click.UsageError("--gap is of a text with gaps; expected --infill as well")
    elif not whole:
        raise click.UsageError(
            "--infill says where text is wanted; leave --prompt, --prompts and --length"
        )
    elif mode == "ar":
        raise click.UsageError("only diffusion fills gaps; leave --mode ar")


def _written(engine: ArrowEngine, prompt: str, *, raw: bool) -> str:
    """A prompt with what the template of the run's data says around it."""
    ids = _asked(engine, prompt, raw=raw)
    plain = ids == engine.tokenizer.encode(prompt).tolist()
    return prompt if plain else engine.tokenizer.decode(ids)


def _asked(engine: ArrowEngine, text: str | Mapping[str, Any], *, raw: bool) -> list[int]:
    from aios_core.inference.prompts import asked

    dataset = engine.models[engine.mode].resolved.config.dataset
    (ids,) = asked(dataset, engine.tokenizer, text, raw=raw)
    return ids


def _check_prompt(
    engine: ArrowEngine, where: str, text: str | Mapping[str, Any], *, raw: bool
) -> None:
    """See that there is room behind a text of a file.

    Raises:
        InferenceError: there is none.
    """
    count = len(_asked(engine, text, raw=raw))
    if count >= engine.sample_length:
        raise InferenceError(
            f"{where}: the text has {count} tokens and samples have {engine.sample_length}; "
            "expected a shorter text, or a larger --length"
        )


def _check_memory(memory: str | None, most: int | None, *, no_memory: bool) -> None:
    if no_memory and (memory is not None or most is not None):
        raise click.UsageError("--no-memory is without memories; leave --memory and --num-memories")


def _remembers(engine: ArrowEngine, mode: Mode | None, generation: dict[str, Any]) -> bool:
    """Whether a model was trained with memories, whose store can be used.

    Raises:
        StorageError: it was, and the store cannot be used.
    """
    trained = engine.models.get(mode or engine.mode)
    if trained is None or trained.model.conditioner is None:
        return False
    if generation["negative_prompt"] is not None:
        raise click.UsageError(
            "memories and --negative-prompt each say what guidance leads away from; leave "
            "--negative-prompt, or add --no-memory"
        )
    try:
        return engine.cues is not None
    except StorageError as error:
        raise StorageError(
            f"{error}. --memory names another store, --no-memory writes without"
        ) from error


def _print(output: Output, seed: int) -> None:
    for number, text in enumerate(output.texts):
        if len(output.texts) > 1:
            click.secho(f"--- {number + 1} of {len(output.texts)}, seed {seed}", dim=True)
        click.echo(_shown(text))
        for cue in output.cues[number]:
            click.secho(f"    {printable(str(cue))}", dim=True, err=True)


def _check_stream(*, several: bool, other: bool) -> None:
    if other:
        raise click.UsageError(
            "--stream shows text that grows from the left; leave --infill and --watch"
        )
    if several:
        raise click.UsageError(
            "--stream prints one text as it grows; leave --num and --prompts, or add --json"
        )


def _shown(text: str) -> str:
    return printable(text) if sys.stdout.isatty() else text


def _rows(output: Output) -> list[dict[str, Any]]:
    """What there is to know of each sample; calls and seconds are those of all together."""
    return [
        {
            "text": output.texts[i],
            "number": i,
            "completion": output.completions[i],
            "finish_reason": output.finish_reasons[i],
            "seed": output.seeds[i],
            "token_ids": output.token_ids[i],
            "given": output.given[i],
            "log_probs": output.log_probs[i],
            "uncertainty": output.uncertainty[i],
            "memories": [attrs.asdict(cue) for cue in output.cues[i]],
            "nfe": output.nfe,
            "seconds": output.seconds,
        }
        for i in range(len(output.texts))
    ]


def _print_stream(updates: Iterator[Update], prompt: str, *, as_json: bool) -> None:
    """Text as it becomes final, or a line of JSON for each state and one for the samples."""
    if not as_json:
        click.echo(_shown(prompt), nl=False)
    for update in updates:
        if as_json:
            state = {"step": update.step, "nfe": update.nfe, "deltas": update.deltas}
            known = (
                {"token_ids": update.token_ids}
                if update.output is None
                else {"samples": _rows(update.output)}
            )
            click.echo(json.dumps(state | known, ensure_ascii=False))
        else:
            click.echo(_shown(update.deltas[0]), nl=False)
    if not as_json:
        click.echo()
