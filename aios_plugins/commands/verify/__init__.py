"""`aios verify`: whether a run is as it was written."""

from __future__ import annotations

from pathlib import Path

import click
from attrs import frozen

from aios_core.cli.common import json_option, print_json
from aios_core.cli.network import network_argument
from aios_core.contracts import Command


@click.command(name="verify")
@network_argument("folder", "DIR", click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def command(folder: Path, *, as_json: bool) -> None:
    """Verify the files of a run against their checksums.

    Exit code 1 if one is damaged. The files of DIR are: run.lock.toml, every checkpoint (weights,
    averaged weights, optimizer, state), the tokenizer, the journal and versions of `aios evolve`,
    files that `aios quantize` wrote into DIR, the calibration of `aios uncertainty`, and the same
    of the twin. evaluation.json has no checksum: it is sound where it is JSON. Nothing is written.

    \b
    Examples:
      aios verify runs/text
      aios verify runs/text --json
    """  # noqa: D301  # \b is for click
    from aios_plugins.commands.verify.run import verify_run

    parts = []
    for part in verify_run(folder):
        parts.append(part)
        if as_json:
            continue
        click.echo(f"{'damaged' if part.faults else 'sound':8} {part.name}")
        for fault in part.faults:
            click.echo(f"         {fault}")
    wrong = [fault for part in parts for fault in part.faults]
    if as_json:
        print_json({"parts": {p.name: list(p.faults) for p in parts}, "faults": wrong})
    if wrong:
        raise SystemExit(1)


@frozen
class Verify(Command):
    """Verify the files of a run against their checksums."""

    def build(self) -> click.Command:
        """The command."""
        return command
