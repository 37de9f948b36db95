"""Every hook: what it collects, and what an implementation promises.

A hook takes no arguments and returns a dict from names to components: the class, or
``"module:Class"``, which is imported only when it is used. Names are lower-case letters, digits and
hyphens, and say nothing of the distribution. Hooks collect and never choose: in which order plugins
are found has no meaning, and a name that two of them offer is an error until the user's
configuration pins one. A component is a frozen `attrs` class that subclasses the contract of its
kind; it draws no random numbers but those it is given, keeps no state between calls, and raises
errors of `aios_core.errors`.

There is one for each kind of `aios_core.kinds`, whose row says what it collects; ``aios_kinds``
returns the rows (`aios_core.kinds.Kind`) of a plugin's own kinds.

A whole plugin of each kind is in ``aios_core/scaffold/examples``, and ``aios plugins new PATH
--kind KIND`` begins a package with it; ``my_plugin = "my_plugin"`` under
``[project.entry-points."aios.plugins"]`` of a pyproject.toml makes a file known.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import pluggy

from aios_core import PROJECT

if TYPE_CHECKING:
    from aios_core.kinds import Kind

OF_KINDS: Final = "aios_kinds"
"""The hook that returns kinds."""


def hookspecs(kinds: Iterable[Kind]) -> ModuleType:
    """The specifications of all hooks, for pluggy.

    Args:
        kinds: those of the core and of plugins.
    """
    mark = pluggy.HookspecMarker(PROJECT)
    specs = ModuleType("hookspecs")

    def add(name: str, promise: str) -> None:
        def hook() -> Any:
            """See the row of its kind."""

        hook.__name__, hook.__doc__ = name, promise
        setattr(specs, name, mark(hook))

    add(OF_KINDS, "Kinds of components that the plugin brings, as rows.")
    for kind in kinds:
        add(kind.hook, kind.promise)
    return specs
