"""The command line `aios`: one file a command, imported only when the command is used.

Here are the commands that nobody can do without; others are plugins of the kind ``command``.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from aios_core.cli import signals, streams

if TYPE_CHECKING:
    from aios_core.component import Component
    from aios_core.registry import Registry

COMMANDS: Final = {
    "run": "Train the model that FILE describes, and measure it.",
    "sample": "Generate texts with the model that `aios run` trained in DIR.",
    "evaluate": "Measure a trained model and its samples.",
    "ablate": "Run every variant of a configuration, and compare them.",
    "config": "Create, show, check and describe configuration files.",
    "plugins": "List, inspect, check and create plugins.",
}
"""Those of the core, which no plugin replaces, and their lines in the help; here, so that the help
imports no command."""


_REGISTRY: Final = f"{__name__}.registry"


def _installed(ctx: click.Context) -> Registry:
    """What is installed, once a command line; what is wrong with it is said by who uses it."""
    if _REGISTRY not in ctx.meta:
        from aios_core import registry

        registry.logger.disabled = True
        try:
            ctx.meta[_REGISTRY] = registry.Registry.discover(insist=False)
        finally:
            registry.logger.disabled = False
    installed: Registry = ctx.meta[_REGISTRY]
    return installed


def _offered(ctx: click.Context) -> dict[str, Component]:
    """The commands of plugins by name."""
    offered = _installed(ctx).components("command")
    return {component.name: component for component in offered if component.name not in COMMANDS}


def _check_missing(ctx: click.Context, name: str) -> None:
    """Say why there is no command of a name where more is known than that nobody offers it."""
    from aios_core.errors import PluginError

    registry = _installed(ctx)
    if rivals := registry.conflicts.get(f"command.{name}"):
        sources = ", and by ".join(component.source for component in rivals)
        raise PluginError(
            f"the command {name!r} is offered more than once: by {sources}; expected one of "
            "them named in AIOS_DISABLE_PLUGINS"
        )
    if registry.failures or registry.disabled:
        raise registry.miss("command", name, [*COMMANDS, *_offered(ctx)])


class Commands(click.Group):
    """A group that knows its commands by name and imports them when asked: ours, and plugins'."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Those of the core in the order of use, then those of plugins by name."""
        return [*COMMANDS, *_offered(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now.

        Raises:
            PluginError: that of a plugin cannot be used, several plugins offer it, or the plugin
                that may have it could not be loaded.
        """
        if cmd_name in COMMANDS:
            command = importlib.import_module(f"aios_core.cli.{cmd_name}").command
            assert isinstance(command, click.Command)
            return command
        offered = _offered(ctx)
        if cmd_name not in offered:
            _check_missing(ctx, cmd_name)
            return None
        from aios_core.component import blamed, named
        from aios_core.errors import PluginError

        plugin = offered[cmd_name].load()()
        with blamed(plugin, "build"):
            command = plugin.build()
        if not isinstance(command, click.Command):
            raise PluginError(f"{named(plugin)}: build gives {command!r}; expected a click.Command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        lines = {name: component.summary for name, component in _offered(ctx).items()}
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items(), *lines.items()])
        if _installed(ctx).failures:
            with formatter.indentation():
                formatter.write_text("Some plugins could not be loaded: see `aios plugins list`.")

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
            from aios_core.cli.boundary import user_error

            raise user_error(error, self._chosen(ctx, words)) from error

    def _chosen(self, ctx: click.Context, words: list[str]) -> click.Command | None:
        """The command that words name, through the groups on the way."""
        from aios_core.errors import AIOSError

        chosen: click.Command | None = self
        for word in words:
            if not isinstance(chosen, click.Group):
                break
            try:
                chosen = chosen.get_command(ctx, word)
            except AIOSError:  # the help command reports it itself
                return None
        return chosen

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command line; also what is printed before a command runs may meet a full disk."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            from aios_core.cli.boundary import user_error

            problem = user_error(error)
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
