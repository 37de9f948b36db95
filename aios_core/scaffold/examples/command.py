"""A command: one class and the hook that offers it."""

import click
from attrs import frozen

import aios_core
from aios_core import contracts
from aios_core.cli.common import config_argument, set_option

AIOS_API = 1


@click.command()
@config_argument
@set_option
def command(file, overrides):
    """Print the first text that a configuration trains on.

    \b
    Examples:
      aios first-text examples/text.toml
    """  # noqa: D301  # \b is for click
    from aios_core.config import load  # here, so that the help is quick

    config = load(file, overrides=overrides).config
    click.echo(next(config.dataset.texts("train")))


@frozen
class FirstText(contracts.Command):
    """Print the first text that a configuration trains on."""

    def build(self):
        """The command, or a group of them."""
        return command


@aios_core.hookimpl
def aios_commands():
    """Names, and the classes they stand for."""
    return {"first-text": FirstText}
