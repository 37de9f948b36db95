"""Places of stores, as users write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from aios_core.config.resolve import section
from aios_core.errors import AIOSError, PluginError, StorageError
from aios_core.redaction import redacted
from aios_core.registry import Registry

if TYPE_CHECKING:
    from aios_core.contracts import StorageBackend

_TYPED: Final = re.compile(r"([^/:]+):(?!//)(.*)", re.DOTALL)
_SCHEME: Final = re.compile(r"([A-Za-z][\w+.-]*)://")


@frozen
class Place:
    """A backend and where its store is."""

    backend: StorageBackend
    uri: str = field(repr=redacted)

    @property
    def folder(self) -> Path | None:
        """The folder, links followed; None on a server."""
        return Path(self.uri).resolve() if self.backend.embedded and "://" not in self.uri else None

    @property
    def mark(self) -> Path | None:
        """The file beside the folder that is there while a migration fills it."""
        return None if self.folder is None else Path(f"{self.folder}.unfinished")

    @classmethod
    def of(
        cls,
        text: str,
        *,
        config: Path | None = None,
        overrides: Sequence[str] = (),
        registry: Registry | None = None,
    ) -> Place:
        """A place as users write it: ``URI``, or ``TYPE:URI`` where it is not the configured type.

        What stands before a colon is a type, unless a slash comes first (``./a:b`` is a folder) or
        the colon begins ``://``.

        Args:
            text: as in ``"notes"`` or ``"lancedb:notes"``.
            config: a TOML file whose ``[storage]`` counts; None: all defaults.
            overrides: ``key=value`` each, on top of it.
            registry: where backends are looked up; None discovers the installed ones.

        Raises:
            ConfigError: the configuration is wrong.
            StorageError: it names no place, a type that is not installed, or a server of which the
                backend knows nothing.
        """
        registry = registry or Registry.discover()
        uri = text
        if match := _TYPED.fullmatch(text):
            kind, uri = match.groups()
            known = {component.name for component in registry.offers("storage")}
            if kind not in known:
                raise StorageError(
                    f"{registry.miss('storage backend', kind, known)}\n"
                    f"A place is a folder or TYPE:URI; the folder of that name is './{text}'"
                )
            overrides = (*overrides, f"storage.type={kind}")
        if not uri:
            raise StorageError(f"{text!r} names no place; expected a folder, or TYPE:URI")
        if uri.split("/")[0] == "~" and not Path("~").exists():  # a shell leaves --store=~/notes
            raise StorageError(
                f"{text!r}: '~' is not replaced here; expected the whole path, or {f'./{uri}'!r} "
                "for a folder of that name"
            )
        backend, values = section("storage", path=config, overrides=overrides, registry=registry)
        matched = _SCHEME.match(uri)
        scheme = matched.group(1).lower() if matched else None
        if scheme and backend.schemes is not None and scheme not in backend.schemes:
            able = sorted(f"{scheme}://" for scheme in backend.schemes)
            able += ["a folder"] if backend.embedded else []
            raise StorageError(
                f"{uri}: the storage backend {values['type']!r} has no stores at {scheme}://; "
                f"expected {' or '.join(able)}{_others(scheme, uri, registry)}"
            )
        return cls(backend, uri)


def _others(scheme: str, uri: str, registry: Registry) -> str:
    """Which installed backends take such a URI, as the end of a message."""
    able = [
        f"{name}:{uri}"
        for name, backend in _backends(registry)
        if backend.schemes is not None and scheme in backend.schemes
    ]
    return f", or {' or '.join(able)}" if able else ""


def keepers(place: Place) -> list[str]:
    """The names of the installed backends that have a store in the folder of a place."""
    backends = []
    for name, backend in _backends(Registry.discover()):
        try:
            if backend.embedded and backend().exists(place.uri):
                backends.append(name)
        except (TypeError, AIOSError):  # it requires settings, or what is not installed
            continue
    return backends


def _backends(registry: Registry) -> Iterator[tuple[str, type[StorageBackend]]]:
    for component in registry.components("storage"):
        try:
            yield component.name, component.load()
        except PluginError:  # it says so where it is asked for
            continue


def typed(text: str) -> str | None:
    """The type that a text names, were it a place; None where it is a folder or a URI."""
    match = _TYPED.fullmatch(text)
    return match.group(1) if match else None
