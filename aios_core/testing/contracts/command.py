"""What every command must do."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from click.testing import CliRunner

from aios_core.component import blamed
from aios_core.testing.contracts.base import Contract, expect

if TYPE_CHECKING:
    from aios_core.contracts import Command


def _built(plugin: Command) -> click.Command:
    with blamed(plugin, "build"):
        return expect(plugin.build(), click.Command, "build")


def _walk(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words after the command's name that lead to it, and to each command below it."""
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{' '.join((*words, name))} is listed, and is no command"
            yield from _walk(inner, (*words, name))


class CommandContract(Contract["Command"]):
    """Subclass it and set ``component``: a command's class, or one that is built."""

    @classmethod
    def try_out(cls, plugin: Command) -> None:
        """It is built."""
        _built(plugin)

    def test_its_line_in_the_list_is_its_own(self, instance: Command) -> None:
        """What `aios --help` reads from the source is what the command says of itself."""
        line = (inspect.getdoc(type(instance)) or "").partition("\n")[0]
        own = (_built(instance).help or "").partition("\n")[0]

        assert own, "The command has no help"
        assert line == own, "Two lines: that of the class, and that of the command"

    def test_explains_itself(self, instance: Command) -> None:
        """``--help`` of it, and of all below it, ends with examples."""
        command = _built(instance)
        for words in _walk(command):
            done = CliRunner().invoke(command, [*words, "--help"], prog_name="aios")
            said = f"--help of {' '.join(('the command', *words))}"

            assert done.exit_code == 0, f"{said} fails: {done.output or done.exception}"
            assert "\nExamples:\n" in done.output.replace("  Examples", "Examples"), (
                f"{said} has no examples"
            )

    def test_refuses_what_it_does_not_know(self, instance: Command) -> None:
        """With exit code 2 and words, as every mistake of a user."""
        done = CliRunner().invoke(_built(instance), ["--no-such-option-here"], prog_name="aios")

        assert done.exit_code == 2
        assert "no-such-option-here" in done.output.lower()
