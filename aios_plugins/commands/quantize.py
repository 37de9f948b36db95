"""`aios quantize`: a trained model, or a file of tensors, in few bits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from attrs import frozen
from click.core import ParameterSource

from aios_core.cli.common import check_overrides, json_option, print_json, set_option
from aios_core.cli.network import network_argument
from aios_core.cli.numbers import COUNT, Number, whole
from aios_core.contracts import Command
from aios_plugins.commands._common import check_new, overwrite_option, tensor_bar

if TYPE_CHECKING:
    from aios_core.contracts import Quantizer
    from aios_plugins.tensor_formats.parquet.layout import Entry

_path = click.Path(path_type=Path)

_KEYS: Final = {
    "quantizer.type": "name",
    "quantizer.bits": "bits",
    "quantizer.bits_per_weight": "budget",
    "quantizer.group_size": "group_size",
    "quantizer.quality": "quality",
}
"""Keys of the configuration, and the parameters that set them as well."""


@click.command()
@network_argument("source", "RUN|FILE", _path)
@click.option(
    "--quantizer",
    "name",
    metavar="NAME",
    default="arrow",
    show_default=True,
    help="Quantization method.",
)
@click.option(
    "--bits",
    type=whole(1, 8),
    help="Bits per weight code, 1 to 8.  [default: the quantizer's]",
)
@click.option(
    "--bits-per-weight",
    "budget",
    type=Number(0, 32, above=True),
    metavar="N",
    help="Instead of --bits: average bits per weight over all matrices, scales included. Matrices"
    " with larger measured errors get more bits.",
)
@click.option("--group-size", type=whole(0, 2**20), help="Number of columns that share one scale.")
@click.option(
    "--quality",
    metavar="WORD",
    help="Effort: fast, search or calibrated, for quantizers that have such a setting.",
)
@click.option(
    "--texts",
    type=COUNT,
    default=128,
    show_default=True,
    help="Number of training texts of RUN that --quality calibrated and --bits-per-weight "
    "measure with.",
)
@click.option(
    "--exclude",
    metavar="PATTERN",
    multiple=True,
    help="Do not quantize the tensors whose full names match; may be repeated.  [default: of "
    "FILE embeddings, norms and heads; of RUN all but linear layers, and those that share"
    " their weights]",
)
@click.option(
    "--output", metavar="FILE", type=_path, help="File to write.  [default: in RUN, or beside FILE]"
)
@overwrite_option
@set_option
@json_option
def command(
    *,
    source: Path,
    name: str,
    bits: int | None,
    budget: float | None,
    group_size: int | None,
    quality: str | None,
    texts: int,
    exclude: tuple[str, ...],
    output: Path | None,
    overwrite: bool,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write a model with fewer bits per weight into one weight file.

    RUN is the folder of a run: the new file then holds the whole model with its tokenizer and
    configuration, and `aios sample` and ArrowEngine.load can use it. FILE is a file of tensors that
    `aios weights convert` reads: its matrices are quantized, and the rest is copied. At the end the
    command prints what was quantized and what was not.

    \b
    Examples:
      aios quantize runs/text --bits 4
      aios quantize runs/text --bits 2 --quality calibrated --output runs/small.parquet
      aios quantize runs/text --bits-per-weight 4.5 --json
      aios quantize runs/text --quantizer rtn --bits 8 --set quantizer.symmetric=true

    A file of tensors:

    \b
      aios weights convert runs/small.parquet runs/small.safetensors --dequantize
      aios quantize runs/small.safetensors --bits 4 --exclude "*embed*" --exclude "*head*"
    """  # noqa: D301  # \b is for click
    from aios_core.config import resolve
    from aios_plugins.tensor_formats.parquet.layout import opens

    if bits is not None and budget is not None:
        raise click.UsageError(
            "--bits and --bits-per-weight exclude each other; expected one of them"
        )
    asked = click.get_current_context().get_parameter_source("texts")
    if asked is not ParameterSource.DEFAULT and not source.is_dir():
        raise click.UsageError(f"--texts holds for the folder of a run alone, and {source} is none")
    check_overrides(overrides, _KEYS, ("quantizer", "plugins"))
    given = {
        "type": name,
        "bits": bits,
        "bits_per_weight": budget,
        "group_size": group_size,
        "quality": quality,
    }
    values = {"quantizer": {key: value for key, value in given.items() if value is not None}}
    quantizer = resolve(values, overrides=overrides).config.quantizer
    if asked is not ParameterSource.DEFAULT and not quantizer.calibrated:
        raise click.UsageError(
            "--texts holds where texts are looked at: with --quality calibrated or "
            "--bits-per-weight, and a quantizer that knows them"
        )
    began = time.monotonic()
    target = output or _beside(source, quantizer)
    check_new(opens(target), overwrite=overwrite)
    if source.is_dir():
        facts = _run(source, quantizer, target, texts, exclude)
    else:
        facts = _file(source, quantizer, target, exclude)
    facts |= {"output": str(opens(target)), "seconds": round(time.monotonic() - began, 2)}
    if as_json:
        print_json(facts)
        return
    click.echo(
        f"{facts['output']}: a file of {facts['file_bytes']:,} bytes, written in "
        f"{facts['seconds']:.3g} s; its tensors take {facts['bytes']:,} bytes instead of "
        f"{facts['bytes_before']:,}"
    )
    for what, words in (("quantized", "quantized"), ("left", "left as they were")):
        part = facts[what]
        if part["tensors"]:
            largest = f" (the largest is {part['largest']})" if what == "left" else ""
            click.echo(
                f"{words}: {part['tensors']} tensors, {part['weights']} weights of "
                f"{part['bits_per_weight']:.3g} bits{largest}"
            )
    click.echo(f"together: {facts['bits_per_weight']:.3g} bits a weight")


def _beside(source: Path, quantizer: Quantizer) -> Path:
    budget = getattr(quantizer, "bits_per_weight", None)
    name = f"mixed-{budget:g}.parquet" if budget else f"int{getattr(quantizer, 'bits', '')}.parquet"
    return source / name if source.is_dir() else source.with_name(f"{source.stem}-{name}")


def _run(
    run: Path, quantizer: Quantizer, target: Path, texts: int, exclude: tuple[str, ...]
) -> dict[str, Any]:
    from aios_core.inference.package import export
    from aios_core.quantization.linear import Size, linears
    from aios_core.training import checkpoint
    from aios_core.training.data import tokens
    from aios_core.training.layout import Framing
    from aios_core.training.measured import own_corpus
    from aios_core.training.quantize import quantize

    trained = checkpoint.load(run)
    before = Size.of(trained.model)
    seed = trained.resolved.config.seed
    calibrated = quantizer.calibrated
    framing = Framing.of(trained.resolved.config)
    train = None
    if calibrated:
        train = tokens(own_corpus(trained), "train", trained.tokenizer, framing)
    _check_excluded(exclude, [f"{name}.weight" for name in linears(trained.model)], run)
    count = len(linears(trained.model, exclude))
    with tensor_bar("measuring", count) as measured, tensor_bar("quantizing", count) as on_progress:
        quantize(
            trained.model,
            quantizer,
            train,
            seed=seed,
            texts=texts,
            exclude=exclude,
            on_progress=on_progress,
            measured=measured,
        )
    after = export(trained, target)
    return _facts(target, after.bits_per_weight, after.nbytes, before.nbytes)


def _file(
    file: Path, quantizer: Quantizer, target: Path, exclude: tuple[str, ...]
) -> dict[str, Any]:
    from aios_core.formats import open_tensors, save_tensors
    from aios_plugins.commands._tensors import EXCLUDED, quantized
    from aios_plugins.tensor_formats.parquet.layout import DTYPES
    from aios_plugins.tensor_formats.parquet.loader import WeightLoader

    source = open_tensors(file)
    _check_excluded(exclude, source.names, file)
    with tensor_bar("measuring") as measured:
        planned = quantized(source, quantizer, exclude or EXCLUDED, measured)
    with tensor_bar("quantizing", len(source.names)) as on_progress:
        save_tensors(planned, target, on_progress)
    loader = WeightLoader.open(target, verify=False)
    entries = [loader.entry(name) for name in loader]
    after, weights = sum(e.nbytes for e in entries), sum(e.numel for e in entries)
    before = sum(entry.numel * DTYPES[entry.dtype] for entry in entries)
    return _facts(target, 8 * after / max(weights, 1), after, before)


def _check_excluded(exclude: tuple[str, ...], names: Sequence[str], source: Path) -> None:
    """Refuse a pattern that means none of the tensors that could be quantized."""
    for pattern in exclude:
        if not any(fnmatchcase(name, pattern) for name in names):
            some = ", ".join(names[:3])
            raise click.UsageError(
                f"--exclude {pattern!r} matches no tensor of {source}; expected a pattern of names "
                f"such as {some}"
            )


def _facts(target: Path, bits: float, after: int, before: int) -> dict[str, Any]:
    from aios_plugins.tensor_formats.parquet.loader import WeightLoader

    loader = WeightLoader.open(target, verify=False)
    entries = [loader.entry(name) for name in loader]
    packed = [entry for entry in entries if entry.packing]
    left = [entry for entry in entries if not entry.packing]
    return {
        "bits_per_weight": round(bits, 4),
        "bytes": after,
        "bytes_before": before,
        "file_bytes": sum(file.path.stat().st_size for file in loader.files),
        "bits": {entry.name: entry.packing.bits for entry in packed if entry.packing},
        "quantized": _part(packed),
        "left": _part(left),
    }


def _part(entries: Sequence[Entry]) -> dict[str, Any]:
    weights = sum(entry.numel for entry in entries)
    return {
        "tensors": len(entries),
        "weights": weights,
        "bits_per_weight": round(8 * sum(entry.nbytes for entry in entries) / max(weights, 1), 4),
        "largest": max(entries, key=lambda entry: entry.numel).name if entries else None,
    }


@frozen
class Quantize(Command):
    """Write a model with fewer bits per weight into one weight file."""

    def build(self) -> click.Command:
        """The command."""
        return command
