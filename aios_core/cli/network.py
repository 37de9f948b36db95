"""The argument DIR of commands that use a trained network: a run, or an ablation and its best arm.

What is found is the folder of a run either way. Commands that sample ask `chosen` for the settings
of the arm besides. Commands of plugins may import it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from aios_core.experiment.arms import Network

Function = TypeVar("Function", bound=Callable[..., Any])

_ARM: Final = f"{__name__}.arm"
_NETWORK: Final = f"{__name__}.network"


def _keep(context: click.Context, _: click.Parameter, value: str | None) -> None:
    context.meta[_ARM] = value


def _folder(context: click.Context, _: click.Parameter, value: Path | None) -> Path | None:
    """The folder of the run, once an ablation's arm is chosen."""
    name = context.meta.get(_ARM)
    if value is None or not (value / "ablation.json").is_file():
        if name is not None:
            raise click.UsageError(
                f"--arm is of an ablation; expected the folder of one, got {value}"
            )
        return value
    from aios_core.experiment.arms import network

    chosen = network(value, name)
    context.meta[_NETWORK] = chosen
    other = "" if name else "; --arm NAME takes another"
    click.echo(f"{value} is an ablation: {chosen}{other}", err=True)
    return chosen.folder


def network_argument(name: str, metavar: str, kind: click.Path) -> Callable[[Function], Function]:
    """The argument of a network, and the option ``--arm``.

    Args:
        name: of the parameter that is given the folder of a run.
        metavar: what the help calls it.
        kind: of path.
    """
    text = "If DIR is an ablation: use this arm, given by its label or a part of it."
    option = click.option(
        "--arm",
        metavar="NAME",
        is_eager=True,
        expose_value=False,
        callback=_keep,
        help=f"{text.replace('DIR', metavar.partition('|')[0])}  [default: the best]",
    )
    argument = click.argument(name, metavar=metavar, type=kind, callback=_folder)
    return lambda function: argument(option(function))


def chosen() -> tuple[tuple[str, ...], Path | None]:
    """What the arm of the command at hand samples with, and its twin; of a run, nothing.

    Returns:
        Overrides, ``key=value`` each, and the folder of the autoregressive twin.
    """
    chosen: Network | None = click.get_current_context().meta.get(_NETWORK)
    return (chosen.overrides, chosen.twin) if chosen else ((), None)
