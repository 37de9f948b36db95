"""From installed distributions to what their plugins offer, one plugin at a time.

A fault costs what it touches and nothing else: a module that cannot be imported costs its plugin, a
hook that raises costs that hook, a bad name costs that name.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import redirect_stdout
from difflib import get_close_matches
from functools import cache
from importlib import metadata
from inspect import isroutine
from types import ModuleType
from typing import Any, Final

import pluggy

import aios_core
from aios_core.component import Component, Failure, Source, describe, resolve
from aios_core.errors import PluginError
from aios_core.hookspecs import OF_KINDS, hookspecs
from aios_core.kinds import Kind

logger = logging.getLogger(__name__)

GROUP: Final = "aios.plugins"
"""The entry-point group of plugins."""

_MARKER: Final = f"{aios_core.PROJECT}_impl"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_MODULE = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?")


def entry_points() -> tuple[list[tuple[Source, str]], list[Failure]]:
    """Every plugin that is installed, as its source and its ``"module"`` or ``"module:object"``.

    Returns:
        The plugins, sorted by distribution and entry point, and the distributions whose metadata
        cannot be read.
    """
    failures = []
    try:
        points = list(metadata.entry_points(group=GROUP))
    except Exception:  # noqa: BLE001  # one distribution's file is malformed: find out which
        points = []
        for distribution in metadata.distributions():
            try:
                points += distribution.entry_points.select(group=GROUP)
            except Exception as error:  # noqa: BLE001  # the parser lets all kinds of them out
                reason = f"its entry_points.txt cannot be read: {describe(error)}"
                failures.append(Failure(*_origin(distribution), "-", reason))
    known = cache(_origin)  # a distribution has many, and its metadata holds its whole README
    plugins = [(Source(*known(point.dist), point.name), point.value) for point in points]
    return sorted(plugins, key=lambda plugin: (*_order(plugin[0]), plugin[1])), failures


def load(source: Source, value: str) -> object | Failure:
    """Import a plugin.

    Args:
        source: where the plugin comes from.
        value: ``"module"`` or ``"module:object"``, as the entry point gives it.

    Returns:
        What the hooks are attributes of, or why there is none.
    """
    try:
        if not _MODULE.fullmatch(value):
            raise PluginError(f"the entry point says {value!r}; expected a module")  # noqa: TRY301
        plugin: object = resolve(value)
    except PluginError as error:
        logger.debug("%s", source.source, exc_info=error)
        return source.failure(str(error))
    return check(plugin, source) or plugin


def kinds(plugin: object, source: Source) -> tuple[list[Kind], list[Failure]]:
    """The kinds of components that a plugin brings.

    Args:
        plugin: what `load` returned.
        source: what its failures are recorded under.
    """
    function = getattr(plugin, OF_KINDS, None)
    if not isroutine(function):
        return [], []
    try:
        rows = _answer(OF_KINDS, *_implementation(OF_KINDS, function, {OF_KINDS}), ())
        if not isinstance(rows, tuple | list) or not all(isinstance(row, Kind) for row in rows):
            raise PluginError(  # noqa: TRY301
                f"{OF_KINDS} returned {rows!r:.200}; expected a tuple of aios_core.kinds.Kind"
            )
    except PluginError as error:
        return [], [source.failure(str(error))]
    return list(rows), []


def collect(
    plugin: object, source: Source, known: Collection[Kind]
) -> tuple[list[Component], list[Failure]]:
    """Ask the hooks of a plugin.

    Args:
        plugin: what `load` returned.
        source: what its components and failures are recorded under.
        known: every kind, those of other plugins among them.
    """
    origin = (source.distribution, source.version, source.entry_point)
    hooks = {kind.hook: kind for kind in known}
    components, failures, silent = [], [], True
    for attribute, function in _candidates(plugin, hooks):
        silent = False
        if attribute == OF_KINDS:
            continue
        try:
            hook, offered = _offers(attribute, function, hooks)
        except PluginError as error:
            logger.debug("%s", source.source, exc_info=error)
            failures.append(source.failure(str(error)))
            continue
        for name, reference in offered.items():
            if problem := _fault(name, reference):
                failures.append(source.failure(f"{hook} offers {name!r}: {problem}"))
            else:
                kind = hooks[hook]
                components.append(Component(*origin, kind.name, name, reference, kind.contract))
    if silent:
        marked = "expected a function marked @aios_core.hookimpl"
        failures.append(source.failure(f"implements no hook; {marked}: {_known(hooks)}"))
    return components, failures


def check(plugin: object, source: Source) -> Failure | None:
    """Why a plugin is not asked, which was written for another core; None where it is asked."""
    known = aios_core.API_VERSION
    spoken = getattr(plugin, "AIOS_API", None)
    if spoken == known:
        return None
    reason = f"is built for plugin API {spoken!r}; this core speaks {known}"
    if spoken is None:
        reason = (
            f"sets no AIOS_API; this core speaks plugin API {known}, expected AIOS_API = {known}"
        )
    return source.failure(reason)


def _candidates(plugin: object, hooks: Collection[str]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Functions that are hooks, or look as if they were meant to be."""
    for attribute in dir(plugin):
        function = getattr(plugin, attribute, None)
        if not isroutine(function):
            continue
        marked = hasattr(function, _MARKER)
        if marked or (attribute.startswith("aios_") and _near(attribute, hooks)):
            yield attribute, function


def _implementation(
    attribute: str, function: Callable[..., Any], hooks: Collection[str]
) -> tuple[str, Callable[..., Any]]:
    """A function of a plugin as the hook that it implements."""
    options = getattr(function, _MARKER, None)
    if options is None:
        foreign = [name.removesuffix("_impl") for name in vars(function) if name.endswith("_impl")]
        if foreign:
            raise PluginError(
                f"{attribute} carries the marker of the project {foreign[0]!r}; "
                "expected @aios_core.hookimpl"
            )
        meant = "" if attribute in hooks else f" (did you mean {_near(attribute, hooks)[0]}?)"
        raise PluginError(
            f"defines {attribute}{meant} but implements no hook with it; is @hookimpl missing?"
        )
    hook = options.get("specname") or attribute
    if hook not in hooks:
        near = "".join(f"did you mean {name}? " for name in _near(hook, hooks))
        raise PluginError(f"implements {hook}, which is not a hook; {near}{_known(hooks)}")
    if options["wrapper"] or options["hookwrapper"]:
        raise PluginError(f"wraps {hook}; expected a plain function, for hooks only collect")
    return hook, function


def _answer(
    attribute: str, hook: str, function: Callable[..., Any], known: Collection[Kind]
) -> Any:
    """What an implementation returns."""
    manager = pluggy.PluginManager(aios_core.PROJECT)
    manager.add_hookspecs(_specs(tuple(kind for kind in known if kind.hook == hook)))
    # Each implementation is registered by itself: a faulty one does not cost its neighbours.
    holder = ModuleType(attribute)
    setattr(holder, attribute, function)
    try:
        manager.register(holder)
        with redirect_stdout(sys.stderr):  # what it prints is no answer of a command
            answers = getattr(manager.hook, hook)()
    except KeyboardInterrupt:
        raise
    except pluggy.PluginValidationError as error:
        raise PluginError(" ".join(str(error).split())) from error
    except BaseException as error:  # foreign code: SystemExit and Rust's panics are no Exception
        raise PluginError(f"{hook} raised {describe(error)}") from error
    finally:
        if manager.is_registered(holder):
            manager.unregister(holder)
    return answers[0] if answers else None  # pluggy leaves out None


@cache
def _specs(known: tuple[Kind, ...]) -> ModuleType:
    return hookspecs(known)


def _offers(
    attribute: str, function: Callable[..., Any], hooks: Mapping[str, Kind]
) -> tuple[str, dict[Any, Any]]:
    """Validate one implementation and call it; the hook's name and what it returned."""
    hook, function = _implementation(attribute, function, hooks)
    answer = _answer(attribute, hook, function, hooks.values())
    if not isinstance(answer, dict):
        expected = 'a dict, as in {"name": "module:Class"}'
        raise PluginError(f"{hook} returned {answer!r}; expected {expected}")
    return hook, answer


def _fault(name: object, reference: object) -> str | None:
    """What is wrong with one entry of a hook's answer."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "no legal name; expected lower-case letters, digits and hyphens, as in 'my-schedule'"
    if not isinstance(reference, type) and not (
        isinstance(reference, str) and _REFERENCE.fullmatch(reference)
    ):
        return f"refers to {reference!r}; expected a class or 'module:Class'"
    return None


def _near(hook: str, hooks: Collection[str]) -> list[str]:
    return get_close_matches(hook, [*hooks, OF_KINDS], n=1, cutoff=0.75)


def _known(hooks: Collection[str]) -> str:
    return f"hooks: {', '.join(hooks)}"


def _origin(distribution: metadata.Distribution | None) -> tuple[str, str]:
    """Name and version; half-removed distributions have neither."""
    facts = distribution.metadata if distribution else None
    name, version = (facts[key] if facts and key in facts else None for key in ("Name", "Version"))
    return name or "unknown", version or "unknown"


def _order(source: Source) -> tuple[str, str]:
    return source.distribution, source.entry_point
