"""The command line `aios`: one file a command, imported only when the command is used."""

from __future__ import annotations

import importlib
import os
from typing import Any, Final

import click

from aios_core.errors import AIOSError, ConfigError

COMMANDS: Final = {
    "run": "Train the model that FILE describes, and measure it.",
    "sample": "Write texts with the model that `aios run` left in DIR.",
    "evaluate": "Measure a trained model and its samples.",
    "ablate": "Run every variant of a configuration, and compare them.",
    "report": "Write the report of an ablation again.",
    "evolve": "Adapt a trained model to texts, keep what a gate says is better, and take it back.",
    "skill": "List, show, merge, carry about and revoke the skills that a model has learned.",
    "probe": "Look at the tensors of a model: norms, ranks, spectra, outliers, gradients.",
    "quantize": "Write a model in few bits into one weight file.",
    "weights": "Look into weight files, check them, convert and compare them.",
    "tokenizer": "Train tokenizers, and apply any tokenizer.json.",
    "uncertainty": "Calibrate how unsure a model is, and score texts.",
    "memory": "Fill, search, check and move stores of memories.",
    "config": "Show, check and describe configurations.",
    "plugins": "List, inspect, check and begin plugins.",
}
"""Command to its line in the help; here, so that the help imports no command."""


class UserError(click.ClickException):
    """A mistake that the user can mend: told in plain words, with exit code 2."""

    exit_code = 2

    def __init__(self, error: AIOSError) -> None:
        super().__init__(str(error))
        self.problems = error.problems if isinstance(error, ConfigError) else (str(error),)

    def show(self, file: Any = None) -> None:
        """Print every problem on stderr."""
        for problem in self.problems:
            click.echo(f"error: {problem}", file=file, err=True)


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
        """Run the command; a user's mistake becomes exit code 2, Ctrl-C becomes 130."""
        try:
            return super().invoke(ctx)
        except AIOSError as error:
            raise UserError(error) from error
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ai-os-diffusion", prog_name="aios")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Lowest level that is logged; wins over AIOS_LOG and the configuration.",
)
@click.option("--log-json", is_flag=True, help="Log one JSON object a line.")
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


def main() -> None:
    """Entry point of the script."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN)  # read when torch is loaded
    cli(prog_name="aios")
