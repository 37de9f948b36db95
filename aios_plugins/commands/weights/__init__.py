"""`aios weights`: look into weight files, check them, convert and compare them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from aios_core.cli.common import json_option, print_json, print_table
from aios_core.contracts import Command
from aios_plugins.commands._common import check_new, overwrite_option, tensor_bar

if TYPE_CHECKING:
    from aios_plugins.tensor_formats.parquet.layout import Entry

_path = click.Path(path_type=Path)
_file = click.argument("file", metavar="FILE", type=_path)


@click.group()
def command() -> None:
    """List, verify, convert and compare weight files.

    \b
    Examples:
      aios quantize runs/text --bits 4 --output runs/int4.parquet
      aios weights ls runs/int4.parquet
      aios weights verify runs/int4.parquet
      aios weights convert runs/int4.parquet runs/int4.safetensors --dequantize
    """  # noqa: D301  # \b is for click


@command.command()
@_file
@json_option
def ls(file: Path, *, as_json: bool) -> None:
    """List the tensors of a weight file, without reading them.

    \b
    Examples:
      aios weights ls runs/int4.parquet
      aios weights ls runs/int4.parquet --json
    """  # noqa: D301  # \b is for click
    from aios_plugins.tensor_formats.parquet.loader import WeightLoader

    loader = WeightLoader.open(file)
    entries = [entry for part in loader.files for entry in part.entries.values()]
    if as_json:
        facts = [_facts(entry) for entry in entries]
        print_json({"card": loader.card, "tensors": facts, "tied": loader.tied})
        return
    rows = [_row(entry, _facts(entry)) for entry in entries]
    rows += [(name, f"is {other}", "", "", "") for name, other in loader.tied.items()]
    print_table(("name", "shape", "type", "bits a weight", "bytes"), rows)
    total = sum(entry.nbytes for entry in entries)
    click.echo(f"\n{len(entries)} tensors, {total} bytes, {len(loader.files)} file(s)")


@command.command()
@_file
@json_option
def verify(file: Path, *, as_json: bool) -> None:
    """Check every tensor of a weight file against its digests; exit code 1 if one has changed.

    The digests cover the values of tensors, their names, types and shapes, and the model card, not
    every byte of the page headers and of the footer that other readers of Parquet use.

    \b
    Examples:
      aios weights verify runs/int4.parquet
    """  # noqa: D301  # \b is for click
    from aios_plugins.tensor_formats.parquet.verify import faults

    with tensor_bar("verifying") as on_progress:
        problems = [str(error) for error in faults(file, on_progress)]
    if as_json:
        print_json({"faults": problems})
    else:
        for fault in problems:
            click.echo(fault)
        if not problems:
            click.echo(
                f"{file}: every tensor is as it was written: its values, name, type and shape"
            )
    if problems:
        raise SystemExit(1)


@command.command()
@click.argument("source", metavar="SOURCE", type=_path)
@click.argument("target", metavar="TARGET", type=_path)
@click.option(
    "--dequantize", is_flag=True, help="Write quantized tensors in the type that they had before."
)
@overwrite_option
@json_option
def convert(
    source: Path, target: Path, *, dequantize: bool, overwrite: bool, as_json: bool
) -> None:
    """Convert between weight files, safetensors and torch's files of tensors, bit for bit.

    The suffix decides the format: .safetensors, .safetensors.index.json (only SOURCE), .pt, .pth or
    .bin. Any other suffix of TARGET means a weight file; of SOURCE, the content decides. Torch's
    files are read without unpickling anything but tensors.

    \b
    Examples:
      aios weights convert runs/int4.parquet runs/model.safetensors --dequantize
      aios weights convert runs/model.safetensors runs/model.parquet
      aios weights convert runs/model.parquet runs/model.pt
    """  # noqa: D301  # \b is for click
    from aios_core.formats import open_tensors, save_tensors
    from aios_plugins.tensor_formats.parquet.layout import opens

    check_new(opens(target), overwrite=overwrite)
    opened = open_tensors(source)
    if dequantize:
        from aios_plugins.commands._tensors import dequantized

        opened = dequantized(opened)
    with tensor_bar("converting", len(opened.names)) as on_progress:
        written = save_tensors(opened, target, on_progress)
    if as_json:
        print_json({"output": str(written), "tensors": len(opened.names)})
    else:
        click.echo(f"{written}: {len(opened.names)} tensors", err=True)


@command.command()
@click.argument("first", metavar="FIRST", type=_path)
@click.argument("second", metavar="SECOND", type=_path)
@json_option
def diff(first: Path, second: Path, *, as_json: bool) -> None:
    """Compare two files of tensors of any format; exit code 1 if they differ.

    \b
    Examples:
      aios weights diff runs/int4.parquet runs/model.parquet
      aios weights diff runs/model.safetensors runs/model.parquet --json
    """  # noqa: D301  # \b is for click
    from aios_core.formats import open_tensors
    from aios_plugins.commands.weights.compare import differences

    opened = open_tensors(first), open_tensors(second)
    with tensor_bar("comparing", len({*opened[0].names, *opened[1].names})) as on_progress:
        different = dict(differences(*opened, on_progress))
    if as_json:
        print_json(different)
    elif different:
        print_table(("name", "difference"), list(different.items()))
    else:
        click.echo(f"the same {len(opened[0].names)} tensors, bit for bit")
    if different:
        raise SystemExit(1)


def _facts(entry: Entry) -> dict[str, Any]:
    packing = entry.packing
    return {
        "name": entry.name,
        "part": entry.part,
        "shape": list(entry.shape),
        "dtype": entry.dtype,
        "bytes": entry.nbytes,
        "bits_per_weight": 8 * entry.nbytes / entry.numel if entry.numel else None,
        "quantization": packing
        and {
            "method": packing.method,
            "bits": packing.bits,
            "group_size": packing.group_size,
            "scheme": packing.scheme,
            "layout": packing.layout,
            "param_fmt": packing.param_fmt,
        },
    }


def _row(entry: Entry, facts: dict[str, Any]) -> tuple[str, ...]:
    packing, bits = entry.packing, facts["bits_per_weight"]
    kind = f"{packing.method} int{packing.bits} g{packing.group_size}" if packing else entry.dtype
    name = entry.name if entry.part == "weights" else f"{entry.part}: {entry.name}"
    shape = " x ".join(map(str, entry.shape)) or "scalar"
    return name, shape, kind, "" if bits is None else f"{bits:.3g}", str(entry.nbytes)


@frozen
class Weights(Command):
    """List, verify, convert and compare weight files."""

    def build(self) -> click.Command:
        """The command."""
        return command
