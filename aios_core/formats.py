"""Components that are chosen by the suffix of a file's name: its reader, its format of tensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aios_core.component import blamed
from aios_core.registry import Registry

if TYPE_CHECKING:
    from aios_core.contracts import FileReader

TEXT: Final = "txt"
"""The reader of files whose suffix has none."""


def of_suffix(kind: str, path: Path, registry: Registry) -> Any:
    """The component whose name is the suffix of a file; None where there is none.

    A hyphen in a name stands for a dot, and the longest suffix counts.

    Args:
        kind: of the component, which is built without values.
        path: the file.
        registry: where components are looked up.

    Raises:
        PluginError: it cannot be used, or several plugins offer it and no pin settles which.
    """
    offered = {component.name for component in registry.offers(kind)}
    _, *parts = path.name.lower().split(".")
    for start in range(len(parts)):
        if "-" not in "".join(parts[start:]) and (name := "-".join(parts[start:])) in offered:
            return built(kind, name, registry)
    return None


def built(kind: str, name: str, registry: Registry) -> Any:
    """A component of a kind that no configuration holds.

    Args:
        kind: its kind.
        name: its registry name.
        registry: where it is looked up.

    Raises:
        PluginError: there is none, or it cannot be used.
    """
    cls = registry.get(kind, name).load()
    with blamed(cls, "__init__"):
        return cls()


def reader_of(path: Path, registry: Registry | None = None) -> FileReader:
    """The reader of a file: that of its suffix, or else that of text.

    Args:
        path: the file.
        registry: where readers are looked up; None discovers the installed ones.

    Raises:
        PluginError: it cannot be used.
    """
    registry = registry or Registry.discover(insist=False)
    reader: FileReader | None = of_suffix("reader", path, registry)
    return reader or built("reader", TEXT, registry)


def reader_named(name: str, registry: Registry | None = None) -> FileReader:
    """A reader by its registry name, for a file whose suffix does not say what it is.

    Args:
        name: such as ``"jsonl"``.
        registry: as for `reader_of`.

    Raises:
        PluginError: there is none, or it cannot be used.
    """
    found: FileReader = built("reader", name, registry or Registry.discover(insist=False))
    return found
