"""``aios plugins``: what is installed, where it is from, whether it works, and how to begin one.

Every command works while any plugin is broken: that is when they are needed.
"""

from __future__ import annotations

import inspect
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from aios_core.cli.common import json_option, print_json, print_table
from aios_core.errors import PluginError
from aios_core.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from aios_core.component import Component, Failure
    from aios_core.scaffold import Package


class KindType(click.ParamType[str]):
    """The name of a kind, also of one that a plugin brings."""

    name = "kind"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The kinds that have an example."""
        return f"[{'|'.join(self._known())}]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is none of them."""
        if value not in self._known():
            self.fail(f"expected one of {', '.join(self._known())}, got {value!r}", param, ctx)
        return value

    def _known(self) -> list[str]:
        return [kind.name for kind in _registry().kinds.values() if kind.example is not None]


@click.group()
def command() -> None:
    """List, inspect, check and create plugins.

    \b
    Examples:
      aios plugins list
      aios plugins show noise.cosine
      aios plugins doctor
      aios plugins new aios-my-schedule --kind noise
    """  # noqa: D301  # \b is for click


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List every component, and every plugin that could not be loaded.

    \b
    Examples:
      aios plugins list
      aios plugins list --json
      AIOS_DISABLE_PLUGINS=aios-power aios plugins list
    """  # noqa: D301  # \b is for click
    registry = _registry()
    conflicts = registry.conflicts
    if as_json:
        print_json(
            {
                "components": [
                    {**_plain(component), "status": _status(component, conflicts)}
                    for component in registry.offers()
                ],
                "failed": [attrs.asdict(failure) for failure in registry.failures],
                "disabled": [attrs.asdict(plugin) for plugin in registry.disabled],
            }
        )
        return
    rows, last = [], None
    for component in registry.offers():
        kind = component.kind if component.kind != last else ""  # the kind heads its group
        last = component.kind
        rows.append(
            (
                kind,
                component.name,
                f"{component.distribution} {component.version}",
                _status(component, conflicts),
            )
        )
    print_table(("kind", "name", "distribution", "status"), rows)
    _print_failures("failed to load:", registry.failures)
    _print_failures("disabled:", registry.disabled)


@command.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show where a component is from, what it does and which fields it has.

    NAME is a kind and a name, or the name alone where one kind has it.

    \b
    Examples:
      aios plugins show noise.cosine
      aios plugins show confidence --json
    """  # noqa: D301  # \b is for click
    described = [_description(component) for component in _named(_registry(), name)]
    if as_json:
        print_json(described[0] if len(described) == 1 else described)
    else:
        click.echo("\n\n".join(map(_page, described)))
    if any("problem" in component for component in described):
        raise SystemExit(1)


@command.command()
@json_option
def doctor(as_json: bool) -> None:
    """Load every component, check it against its contract, and report all problems.

    Exit code 1 if there is one.

    \b
    Examples:
      aios plugins doctor
      aios plugins doctor --json
    """  # noqa: D301  # \b is for click
    registry = _registry()
    offers = registry.offers()
    problems = [str(failure) for failure in registry.failures]
    problems += registry.conflict_messages()
    for component in offers:
        try:
            _describe_fields(component.load())
        except PluginError as error:
            problems.append(str(error))
    if as_json:
        disabled = [attrs.asdict(plugin) for plugin in registry.disabled]
        print_json({"loaded": len(offers), "problems": problems, "disabled": disabled})
    else:
        for problem in problems:
            click.echo(f"problem: {problem}")
        _print_failures("disabled:", registry.disabled)
        click.echo(f"{len(offers)} components, {len(problems) or 'no'} problems")
    if problems:
        raise SystemExit(1)


@command.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    "kinds",
    type=KindType(),
    multiple=True,
    default=("noise",),
    show_default=True,
    help="Kind of component; may be repeated, for a component of each kind.",
)
@click.option(
    "--allow-conflict",
    is_flag=True,
    help="Allow a name that an installed component has; [plugins.use] then chooses between them.",
)
def new(path: Path, kinds: tuple[str, ...], *, allow_conflict: bool) -> None:
    """Create a package in the folder PATH, with a component of each kind and their tests.

    The distribution gets the name of the folder, and the components the same without "aios-".

    \b
    Examples:
      aios plugins new work/aios-my-schedule
      aios plugins new work/aios-my-store --kind storage
      aios plugins new work/aios-my-pair --kind noise --kind sampler
    """  # noqa: D301  # \b is for click
    from aios_core.scaffold import new_package

    package = new_package(path, [_registry().kinds[kind] for kind in kinds])
    _check_conflicts(package, allowed=allow_conflict)
    click.echo("\n".join(("wrote", *(f"  {file}" for file in package.write()))))
    steps = (f"cd {shlex.quote(str(path))}", *package.steps)
    click.echo("\n".join(("now, in the environment of aios", *(f"  {step}" for step in steps))))


def _check_conflicts(package: Package, *, allowed: bool) -> None:
    """Warn of names that installed plugins offer already, or refuse them."""
    keys = {part.key for part in package.parts}
    taken = [
        f"{component.key} is offered by {component.source}"
        for component in _registry().offers()
        if component.key in keys
    ]
    if not taken:
        return
    conflicts = "; ".join(taken)
    if not allowed:
        raise PluginError(
            f"expected a name that no plugin offers, got {package.parts[0].name!r}: {conflicts}; "
            "give the folder another name, or --allow-conflict"
        )
    click.echo(f"warning: {conflicts}; choose one of them under [plugins.use]", err=True)


@command.command()
@click.argument("distribution", metavar="DIST")
@click.option("--verbose", is_flag=True, help="Show the output of pytest as well.")
def check(distribution: str, verbose: bool) -> None:
    """Run the contract tests on every component of an installed distribution.

    For each broken contract a line says which, of which component, and why. Exit code 1 if there is
    one, or if a plugin of the distribution cannot be loaded.

    \b
    Examples:
      aios plugins check ai-os-diffusion
    """  # noqa: D301  # \b is for click
    from aios_core.testing.runner import check_distribution

    result = check_distribution(_registry(), distribution, verbose=verbose)
    click.echo(result.summary)
    if not result.passed:
        raise SystemExit(1)


def _registry() -> Registry:
    """What is installed; strictness would lock users out of the commands that help."""
    return Registry.discover(environ={**os.environ, "AIOS_STRICT_PLUGINS": ""})


def _status(component: Component, conflicts: Container[str]) -> str:
    return "conflict" if component.key in conflicts else "ok"


def _plain(component: Component) -> dict[str, Any]:
    plain = attrs.asdict(component)
    del plain["contract"]  # that of its kind
    return {**plain, "reference": component.place}


def _print_failures(title: str, failures: Iterable[Failure]) -> None:
    lines = [f"  {failure}" for failure in failures]
    if lines:
        click.echo("\n".join(("", title, *lines)))


def _named(registry: Registry, name: str) -> list[Component]:
    """All that offer a name; more than one where they are in conflict."""
    if "." in name:
        kind, _, name = name.partition(".")
        named = [component for component in registry.offers(kind) if component.name == name]
        return named or [registry.get(kind, name)]  # whose error names similar ones
    named = [component for component in registry.offers() if component.name == name]
    if not named:
        known = sorted({component.name for component in registry.offers()})
        raise registry.miss("component", name, known)
    if len(keys := sorted({component.key for component in named})) > 1:
        raise PluginError(f"{name!r} is the name of several components; expected one of {keys}")
    return named


def _description(component: Component) -> dict[str, Any]:
    """Everything about a component; under ``problem``, why it cannot be used."""
    description = _plain(component)
    try:
        cls = component.load()
        fields = _describe_fields(cls)
    except PluginError as error:
        return {**description, "problem": str(error)}
    doc = inspect.getdoc(cls) or ""
    return {**description, "doc": doc, "fields": [attrs.asdict(field) for field in fields]}


def _describe_fields(cls: type) -> list[Any]:
    from aios_core.cli.fields import describe_fields

    return list(describe_fields(cls))


def _page(description: dict[str, Any]) -> str:
    """A description for people."""
    source = "{distribution} {version} (entry point {entry_point})".format(**description)
    lines = [f"{description['kind']}.{description['name']}", f"  from {source}"]
    lines.append(f"  at   {description['reference']}")
    if "problem" in description:
        return "\n".join((*lines, f"  {description['problem']}"))
    lines += ["", *(f"  {line}".rstrip() for line in description["doc"].splitlines()), ""]
    lines += [] if description["fields"] else ["  It has no fields."]
    for field in description["fields"]:
        default = "required" if field["required"] else f"default {field['default'] or 'unset'}"
        facts = ", ".join((field["type"], *field["bounds"], default))
        lines.append(f"  {field['name']}: {facts}")
        lines += [f"      {line}" for line in field["doc"].splitlines()]
    return "\n".join(lines)
