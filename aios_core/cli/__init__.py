"""The command line `aios`: one file a command, imported only when the command is used."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import Any, Final

import click

from aios_core.cli import signals, streams

COMMANDS: Final = {
    "run": "Train the model that FILE describes, and measure it.",
    "sample": "Generate texts with the model that `aios run` trained in DIR.",
    "evaluate": "Measure a trained model and its samples.",
    "verify": "Verify the files of a run against their checksums.",
    "ablate": "Run every variant of a configuration, and compare them.",
    "report": "Write the report of an ablation again.",
    "evolve": "Adapt a trained model to texts, keep what a test finds better, and undo it.",
    "skill": "List, show, merge, export, import and revoke the skills that a model has learned.",
    "probe": "Measure the tensors of a model: norms, ranks, spectra, outliers, gradients.",
    "quantize": "Write a model with fewer bits per weight into one weight file.",
    "weights": "List, verify, convert and compare weight files.",
    "tokenizer": "Train tokenizers, and use any tokenizer.json.",
    "uncertainty": "Calibrate and measure how unsure a model is of texts.",
    "memory": "Fill, search, check and move stores of memories.",
    "config": "Create, show, check and describe configuration files.",
    "plugins": "List, inspect, check and create plugins.",
}
"""Command to its line in the help; here, so that the help imports no command."""


class Commands(click.Group):
    """A group that knows its commands by name and imports them when asked."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"aios_core.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever it raises becomes words and an exit code, Ctrl-C 130."""
        words = [*ctx._protected_args, *ctx.args]  # noqa: SLF001  # gone when it has run
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            takes = error.ctx.command.params if error.ctx is not None else []
            if not error.possibilities and any(isinstance(p, click.Argument) for p in takes):
                hint = f"{error.message} An argument that begins with a dash goes behind --."
                raise click.NoSuchOption(error.option_name, hint, ctx=error.ctx) from None
            raise
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (SystemExit, GeneratorExit):
            raise
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)
        except BaseException as error:  # a panic of Rust is no Exception
            from aios_core.cli.boundary import told

            raise told(error, self._chosen(ctx, words)) from error

    def _chosen(self, ctx: click.Context, words: list[str]) -> click.Command | None:
        """The command that words name, through the groups on the way."""
        chosen: click.Command | None = self
        for word in words:
            if not isinstance(chosen, click.Group):
                break
            chosen = chosen.get_command(ctx, word)
        return chosen

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command line; also what is printed before a command runs may meet a full disk."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            from aios_core.cli.boundary import told

            problem = told(error)
            problem.show()
            sys.exit(problem.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ai-os-diffusion", prog_name="aios")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Log messages of this level and above; overrides AIOS_LOG and the configuration.",
)
@click.option("--log-json", is_flag=True, help="Log one JSON object per line.")
def cli(log_level: str | None, log_json: bool) -> None:
    """Discrete diffusion language models from plugins.

    \b
    Examples:
      aios plugins list
      aios config show examples/demo.toml
      aios ablate examples/demo.toml --dry-run
    """  # noqa: D301  # \b is for click
    from aios_core import logs

    logs.configure(log_level, json=log_json)


SPIN: Final = "2000"
"""Turns that a thread of torch's OpenMP waits actively before it sleeps, some tens of microseconds.

It does so for milliseconds by itself, on a core that packed weights or another process could use.
"""

GARBAGE: Final = 100_000, 20, 20
"""Objects made between two searches for cycles, and how often older ones are looked at as well.

Importing torch makes hundreds of thousands of objects that stay: by Python's own 700, searching
them takes a sixth of the time of a short command.
"""


def main() -> None:
    """Entry point of the script."""
    gc.set_threshold(*GARBAGE)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN)  # read when torch is loaded
    streams.repair()
    signals.interrupt()
    cli(prog_name="aios")
