"""`aios sample`: texts from a trained run."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from attrs import frozen

from aios_core.cli.common import json_option, print_json, set_option
from aios_core.cli.watch import printable
from aios_core.errors import InferenceError

if TYPE_CHECKING:
    import torch

    from aios_core.config import Resolved
    from aios_core.contracts import TrainedTokenizer
    from aios_core.diffusion.core import DiffusionCore
    from aios_core.training.checkpoint import Checkpoint

_GAP: Final = re.compile(r"<mask(?::([0-9]{1,6}))?>|_{3,}")

_at_least_1 = click.IntRange(min=1)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--prompt", metavar="TEXT", help="Text that every sample begins with.")
@click.option("--infill", metavar="TEXT", help="Text with gaps: ___, <mask>, or <mask:12>.")
@click.option("--gap", default=8, show_default=True, type=_at_least_1, help="Tokens of a gap.")
@click.option("--num", default=1, show_default=True, type=_at_least_1, help="Number of samples.")
@click.option("--length", type=_at_least_1, help="Tokens a sample; unset: as configured.")
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
    """  # noqa: D301  # \b is for click
    if infill is not None and (prompt is not None or length is not None):
        raise click.UsageError("--infill says where text is wanted; leave --prompt and --length")
    from aios_core.training.checkpoint import load

    checkpoint = load(folder)
    resolved = _settings(checkpoint, overrides)
    if infill is not None:
        row = infilling(checkpoint.tokenizer, infill, gap)
    else:
        wanted = length or resolved.config.sampling.length or resolved.config.diffusion.length
        row = prompted(checkpoint.tokenizer, prompt or "", wanted)
    seed = resolved.config.seed if seed is None else seed
    texts = sample(checkpoint, resolved, row, seed=seed, num=num, watch=watch)
    if as_json:
        print_json([{"text": text, "seed": seed, "number": i} for i, text in enumerate(texts)])
        return
    for number, text in enumerate(texts):
        if num > 1:
            click.secho(f"--- {number + 1} of {num}, seed {seed}", dim=True)
        click.echo(printable(text) if sys.stdout.isatty() else text)


def _settings(checkpoint: Checkpoint, overrides: Sequence[str]) -> Resolved:
    """The run's configuration under overrides, which must not touch what was trained."""
    from aios_core.config import resolve, training_key

    state = checkpoint.state
    resolved = resolve(state.values, overrides=overrides)
    if training_key(resolved) != training_key(checkpoint.resolved):
        raise InferenceError(
            f"--set {' '.join(overrides)}: would change what {checkpoint.folder} was trained with; "
            "want keys of [sampler] and [sampling] only"
        )
    if resolved.config.mode == "ar":
        raise InferenceError(
            f"{checkpoint.folder}: is an autoregressive model, and samplers fill in masks; "
            "want a run with mode = 'diffusion'"
        )
    return resolved


@frozen(eq=False)
class Row:
    """One text to be completed, the same for all samples."""

    ids: Sequence[int]
    """L token ids, the mask id where text is wanted."""
    fixed: Sequence[bool]
    """L flags: what is given."""


def prompted(tokenizer: TrainedTokenizer, prompt: str, length: int) -> Row:
    """A text that begins with a prompt.

    Raises:
        InferenceError: the prompt leaves no room.
    """
    ids = [int(token) for token in tokenizer.encode(prompt)] if prompt else []
    if len(ids) >= length:
        raise InferenceError(
            f"the prompt has {len(ids)} tokens and the sample {length}; want a larger --length"
        )
    wanted = length - len(ids)
    mask_id = tokenizer.vocabulary.mask_id
    return Row([*ids, *[mask_id] * wanted], [True] * len(ids) + [False] * wanted)


def infilling(tokenizer: TrainedTokenizer, text: str, gap: int) -> Row:
    """A text with gaps.

    Args:
        tokenizer: of the run.
        text: ``___``, ``<mask>`` and ``<mask:N>`` are gaps, all else is given.
        gap: tokens of a gap that does not say its own N.

    Raises:
        InferenceError: there is no gap, or one of no tokens.
    """
    ids: list[int] = []
    fixed: list[bool] = []
    end = 0

    def give(part: str) -> None:
        tokens = [int(token) for token in tokenizer.encode(part)] if part else []
        ids.extend(tokens)
        fixed.extend([True] * len(tokens))

    for match in _GAP.finditer(text):
        give(text[end : match.start()])
        wanted = gap if match[1] is None else int(match[1])
        ids.extend([tokenizer.vocabulary.mask_id] * wanted)
        fixed.extend([False] * wanted)
        end = match.end()
    give(text[end:])
    if all(fixed):
        raise InferenceError("--infill has no gap; want ___, <mask> or <mask:12> in the text")
    return Row(ids, fixed)


def sample(
    checkpoint: Checkpoint, resolved: Resolved, row: Row, *, seed: int, num: int, watch: bool
) -> list[str]:
    """Texts; without a prompt the first ones are those that an evaluation samples.

    Args:
        checkpoint: a diffusion model.
        resolved: its configuration, with the sampler that is wanted.
        row: what every sample is given.
        seed: decides the samples, each through a seed of its own.
        num: how many.
        watch: show the first sample while it is written.
    """
    import torch

    from aios_core.diffusion.core import DiffusionCore
    from aios_core.experiment.sampling import row_seed
    from aios_core.training.device import choose

    config, tokenizer = resolved.config, checkpoint.tokenizer
    device = choose(config.training)
    core = DiffusionCore(
        checkpoint.model.to(device),
        config.sampler,
        config.noise,
        tokenizer.vocabulary.mask_id,
        temperature=config.sampling.temperature,
        spacing=config.sampling.spacing,
    )
    texts: list[str] = []
    seeds = [row_seed(seed, number) for number in range(num)]
    for start in range(0, num, config.sampling.batch_size):
        batch = seeds[start : start + config.sampling.batch_size]
        x = torch.tensor([row.ids], device=device).repeat(len(batch), 1)
        fixed = torch.tensor([row.fixed], device=device).repeat(len(batch), 1)
        if watch and start == 0:
            ids = _watched(core, tokenizer, x, fixed, batch)
        else:
            ids = core.sample(x, fixed, seeds=batch).ids
        texts += tokenizer.decode_batch(ids.cpu().numpy())
    return texts


def _watched(
    core: DiffusionCore,
    tokenizer: TrainedTokenizer,
    x: torch.Tensor,
    fixed: torch.Tensor,
    seeds: Sequence[int],
) -> torch.Tensor:
    from aios_core.cli.watch import Screen

    with Screen(tokenizer) as screen:
        return core.sample(x, fixed, seeds=seeds, callback=screen.show).ids
