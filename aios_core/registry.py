"""Look-up of components by name, whatever is broken.

Installing a package never changes a result: a name that two plugins offer is an error until the
user's configuration pins one of them.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

import attrs

from aios_core import discovery
from aios_core.component import Component, Failure, Source, canonical
from aios_core.errors import PluginError
from aios_core.kinds import KINDS, RESERVED, Kind

__all__ = ["PART", "Component", "Failure", "Registry", "part"]

logger = logging.getLogger(__name__)

PART: Final = "part"
"""In the metadata of a field made by `part`: the name of its default."""


def part(kind: str, name: str, **values: Any) -> Any:
    """A field of a component that holds another component, by default that of a registry name.

    So a default plugin holds others and imports none. In a configuration the table of the field may
    be left out, and is then written out like every default.

    Args:
        kind: of the component that is held.
        name: of the default.
        values: of its fields, where they are not the defaults.

    Examples:
        >>> @attrs.frozen
        ... class Heartbeat:
        ...     noise: NoiseScheduler = part("noise", "cosine")
    """
    return attrs.field(
        factory=lambda: _discovered().get(kind, name).load()(**values),
        metadata={PART: {"type": name, **values}},
    )


@cache
def _discovered() -> Registry:
    """What is installed, for whoever makes a component by hand and names no part of it."""
    return Registry.discover(insist=False)


class Registry:
    """The components that plugins offer.

    Make one with `Registry.discover`, or with `Registry.empty` and `add` where only what is added
    shall be seen. There is none at module level.
    """

    def __init__(self) -> None:
        self._offers: defaultdict[tuple[str, str], list[Component]] = defaultdict(list)
        self._failures: list[Failure] = []
        self._disabled: list[Failure] = []
        self._pins: dict[str, str] = {}
        self._kinds = dict(KINDS)
        self._strict = False

    @classmethod
    def empty(cls) -> Registry:
        """A registry that has discovered nothing; `add` fills it."""
        return cls()

    @classmethod
    def discover(
        cls,
        *,
        use: Mapping[str, str] | None = None,
        environ: Mapping[str, str] = os.environ,
        insist: bool = True,
    ) -> Registry:
        """Load every installed plugin; no component is imported.

        Args:
            use: pins, ``"noise.cosine"`` to the distribution that shall offer it.
            environ: read for ``AIOS_DISABLE_PLUGINS`` (names of entry points or distributions,
                separated by commas) and ``AIOS_STRICT_PLUGINS`` (``1``: any fault is an error).
            insist: ask for that now; False: whoever pins components does so later.

        Raises:
            PluginError: a pin that cannot be honoured; under strictness, any fault.
        """
        registry = cls()
        blocking = environ.get("AIOS_DISABLE_PLUGINS", "").split(",")
        blocked = {canonical(name) for name in blocking if name.strip()}
        unused = set(blocked)
        installed, unreadable = discovery.entry_points()
        registry._record((), unreadable)
        plugins = []
        for source, value in installed:
            names = {canonical(source.entry_point), canonical(source.distribution)}
            if blocked & names:
                unused -= names
                registry._disabled.append(source.failure("blocked by AIOS_DISABLE_PLUGINS"))
            else:
                loaded = discovery.load(source, value)
                if isinstance(loaded, Failure):
                    registry._record((), (loaded,))
                else:
                    plugins.append((loaded, source))
        for plugin, source in plugins:  # before anything is collected under them
            registry._bring(plugin, source)
        for plugin, source in plugins:
            registry._record(*discovery.collect(plugin, source, registry._kinds.values()))
        if unused:
            logger.warning("AIOS_DISABLE_PLUGINS names no installed plugin: %s", _list(unused))
        registry._strict = environ.get("AIOS_STRICT_PLUGINS") == "1"
        registry = registry.pinned(use or {})
        if insist:
            registry.insist()
        return registry

    def insist(self) -> None:
        """Under strictness, any fault is an error.

        Raises:
            PluginError: with all of them.
        """
        if not self._strict:
            return
        if faults := [*map(str, self.failures), *self.conflict_messages()]:
            raise PluginError("\n".join(("AIOS_STRICT_PLUGINS=1 and plugins fail:", *faults)))

    def add(
        self, plugin: object, *, distribution: str = "local", version: str = "0", name: str = ""
    ) -> None:
        """Add what a plugin offers, as if it had been discovered; its faults become failures.

        Args:
            plugin: a module, or an object with the hooks as attributes.
            distribution: recorded as its distribution.
            version: recorded as the distribution's version.
            name: recorded as its entry point; unset: the module's name.
        """
        name = name or getattr(plugin, "__name__", type(plugin).__name__)
        source = Source(distribution, version, name)
        if fault := discovery.check(plugin, source):
            self._record((), (fault,))
            return
        self._bring(plugin, source)
        self._record(*discovery.collect(plugin, source, self._kinds.values()))

    def pinned(self, use: Mapping[str, str]) -> Registry:
        """The same components under other pins.

        Args:
            use: ``"noise.cosine"`` to the distribution that shall offer it.

        Raises:
            PluginError: a pin names what its distribution does not offer; all such pins at once.
        """
        problems = [problem for pin in use.items() if (problem := self._pin_fault(*pin))]
        if problems:
            raise PluginError("\n".join(problems))
        registry = Registry()
        registry._offers, registry._failures = self._offers, self._failures
        registry._disabled, registry._pins = self._disabled, dict(use)
        registry._kinds, registry._strict = self._kinds, self._strict
        return registry

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Every kind by its name: those of the core, and those that plugins bring."""
        return self._kinds

    @property
    def default_types(self) -> dict[str, str]:
        """Sections of a configuration that hold one component, and the name of its default."""
        return {
            kind.section: kind.default
            for kind in self._kinds.values()
            if kind.section is not None and isinstance(kind.default, str)
        }

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What could not be loaded, with reasons."""
        return tuple(self._failures)

    @property
    def disabled(self) -> tuple[Failure, ...]:
        """Plugins that were blocked on purpose."""
        return tuple(self._disabled)

    @property
    def conflicts(self) -> dict[str, tuple[Component, ...]]:
        """Names that more than one plugin offers and no pin settles, such as ``"noise.cosine"``."""
        return {
            ".".join(key): tuple(offers)
            for key in sorted(self._offers)
            if len(offers := self._candidates(*key)) > 1
        }

    def conflict_messages(self) -> list[str]:
        """For each conflict, who is part of it and what settles it."""
        return [_conflict(key, offers) for key, offers in self.conflicts.items()]

    def get(self, kind: str, name: str) -> Component:
        """The component of a kind that has a name.

        Raises:
            PluginError: there is none (near names, known names and failed plugins are listed), or
                several plugins offer it and no pin settles which.

        Examples:
            >>> registry = Registry.discover()
            >>> registry.get("noise", "cosine").distribution
            'ai-os-diffusion'
            >>> registry.get("noise", "cosin")
            Traceback (most recent call last):
            aios_core.errors.PluginError: no noise is called 'cosin'; did you mean 'cosine' ...
        """
        if kind not in self._kinds:
            raise PluginError(f"there is no kind {kind!r}; {_near(kind, self._kinds)}")
        candidates = self._candidates(kind, name)
        if len(candidates) > 1:
            raise PluginError(_conflict(f"{kind}.{name}", candidates))
        if candidates:
            return candidates[0]
        known = [name for known_kind, name in self._offers if known_kind == kind]
        raise self.miss(kind, name, known)

    def miss(self, what: str, name: str, known: Iterable[str]) -> PluginError:
        """The error for a name that nothing has: near names, known names, and what failed to load.

        Args:
            what: what was looked for, as in ``"noise"``.
            name: its name.
            known: names that would have been found.
        """
        lines = [f"no {what} is called {name!r}; {_near(name, known)}"]
        if self._failures:
            lines += ["Plugins that failed to load:", *(f"  {fault}" for fault in self._failures)]
        if self._disabled:
            blocked = ", ".join(sorted({plugin.source for plugin in self._disabled}))
            lines.append(f"Plugins that AIOS_DISABLE_PLUGINS blocks: {blocked}")
        return PluginError("\n".join(lines))

    def components(self, kind: str | None = None) -> list[Component]:
        """Every component that `get` gives, sorted by kind and name; conflicts are left out."""
        conflicts = self.conflicts
        return [component for component in self.offers(kind) if component.key not in conflicts]

    def offers(self, kind: str | None = None) -> list[Component]:
        """Every component that is offered and not pinned away, conflicts among them."""
        keys = [key for key in sorted(self._offers) if kind in (None, key[0])]
        return [component for key in keys for component in self._candidates(*key)]

    def _bring(self, plugin: object, source: Source) -> None:
        """Take the kinds that a plugin brings, but for what others have."""
        rows, failures = discovery.kinds(plugin, source)
        self._record((), failures)
        for row in rows:
            if problem := _taken(row, self._kinds.values()):
                reason = f"the kind {row.name!r} is left out: {problem}"
                self._record((), (source.failure(reason),))
            else:
                self._kinds[row.name] = row

    def _record(self, components: Iterable[Component], failures: Iterable[Failure]) -> None:
        for component in components:
            self._offers[component.kind, component.name].append(component)
        for failure in failures:
            self._failures.append(failure)
            logger.warning("plugin not loaded: %s", failure)

    def _candidates(self, kind: str, name: str) -> list[Component]:
        """Who offers a name, once the pins have spoken."""
        offers = self._offers.get((kind, name), [])
        pin = self._pins.get(f"{kind}.{name}")
        return [
            component
            for component in offers
            if pin in (None, component.distribution) or _same(pin, component)
        ]

    def _pin_fault(self, key: str, distribution: str) -> str | None:
        """Why a pin cannot be honoured."""
        kind, _, name = key.partition(".")
        if kind not in self._kinds or not name:
            expected = f"kind.name, as in 'noise.cosine', with a kind of: {_list(self._kinds)}"
            return f"cannot pin {key!r}; expected {expected}"
        offers = self._offers.get((kind, name), [])
        if any(_same(distribution, component) for component in offers):
            return None
        offered = _list(component.distribution for component in offers) or "no plugin that loads"
        return f"cannot pin {key!r} to {distribution!r}, which does not offer it; {offered} does"


def _taken(row: Kind, known: Iterable[Kind]) -> str | None:
    """What of a new kind another has already, or the core itself."""
    for other in known:
        for what in ("name", "hook", "section"):
            value = getattr(row, what)
            if value is not None and value == getattr(other, what):
                return f"its {what} {value!r} is that of the kind {other.name!r}"
    if row.section in RESERVED:
        return f"a section {row.section!r} is there already"
    return None


def _conflict(key: str, offers: Iterable[Component]) -> str:
    """A conflict, and what would settle it."""
    text = f"{key} is offered more than once: by {', and by '.join(o.source for o in offers)}"
    pins = sorted({component.distribution for component in offers})
    if len(pins) == 1:
        return f"{text}; {pins[0]} must be mended, or one of them named in AIOS_DISABLE_PLUGINS"
    lines = " or ".join(f'"{key}" = "{pin}"' for pin in pins)
    return f"{text}; to settle it, write under [plugins.use]: {lines}"


def _same(distribution: str | None, component: Component) -> bool:
    return distribution is not None and canonical(distribution) == canonical(component.distribution)


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


def _near(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = [f"{match!r}" for match in get_close_matches(name, known, n=3)]
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{meant}known: {_list(known) or 'none'}"
