"""``aios config``: begin, show, check and describe configuration files."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from aios_core.cli.common import (
    allow_changes_option,
    config_argument,
    json_option,
    print_json,
    set_option,
)
from aios_core.errors import ConfigError


@click.group()
def command() -> None:
    """Create, show, check and describe configuration files.

    \b
    Examples:
      aios config new config.toml
      aios config show examples/demo.toml --set sampler.type=confidence
      aios config check examples/demo.toml
      aios config schema > aios.schema.json
    """  # noqa: D301  # \b is for click


@command.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def new(file: Path) -> None:
    """Write a small first configuration to the new file FILE, with every line explained.

    \b
    Examples:
      aios config new first.toml
    """  # noqa: D301  # \b is for click
    from importlib.resources import files

    text = files("aios_core.scaffold").joinpath("config.toml").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text.replace("FILE", shlex.quote(str(file))))
    except FileExistsError:
        raise ConfigError(f"{file}: is there already; expected the name of a new file") from None
    click.echo(f"wrote {file}; now\n  aios run {shlex.quote(str(file))}")


@command.command()
@config_argument
@set_option
@allow_changes_option
@json_option
def show(file: Path, overrides: tuple[str, ...], *, allow_changes: bool, as_json: bool) -> None:
    """Print the whole configuration: FILE, the files that it extends, and every default.

    \b
    Examples:
      aios config show examples/demo.toml
      aios config show examples/demo.toml --set noise.type=cosine --json
    """  # noqa: D301  # \b is for click
    from aios_core.config import load

    values = load(file, overrides=overrides, allow_changes=allow_changes).values
    if as_json:
        print_json(values)
        return
    import tomli_w

    click.echo(tomli_w.dumps(values), nl=False)


@command.command()
@config_argument
@set_option
@allow_changes_option
def check(file: Path, overrides: tuple[str, ...], *, allow_changes: bool) -> None:
    """Check FILE, and every trial of its [ablate]; all errors are reported at once.

    \b
    Examples:
      aios config check examples/demo.toml
      aios config check examples/demo.toml --set training.steps=10
    """  # noqa: D301  # \b is for click
    from aios_core.config import load, trials

    planned = trials(file, overrides=overrides)
    if not planned[0].settings:
        load(
            file, overrides=overrides, allow_changes=allow_changes
        )  # which also holds a lock against what is installed
    click.echo("ok" if len(planned) == 1 else f"ok, {len(planned)} trials")


@command.command()
def schema() -> None:
    """Print a JSON Schema of configuration files, from the plugins that are installed.

    Editors complete and check a file whose first line is `#:schema ./aios.schema.json`.

    \b
    Examples:
      aios config schema > aios.schema.json
    """  # noqa: D301  # \b is for click
    from aios_core.config.json_schema import json_schema
    from aios_core.registry import Registry

    print_json(json_schema(Registry.discover()))
