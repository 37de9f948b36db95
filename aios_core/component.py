"""What a registry holds: components to load, and plugins that cannot be, with the reason."""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import attrs
from attrs import field, frozen

from aios_core.errors import AIOSError, PluginError

_LOADED: WeakKeyDictionary[type, Component] = WeakKeyDictionary()
"""What each class was loaded as, for the messages about its instances."""


@frozen
class Source:
    """Where something comes from, as every message about a plugin names it."""

    distribution: str
    """Name of the installed distribution."""
    version: str
    """Of the distribution."""
    entry_point: str
    """Name of the entry point in the group ``aios.plugins``."""

    @property
    def source(self) -> str:
        """One phrase for messages, as in ``aios-power 1.2 (entry point power)``."""
        return f"{self.distribution} {self.version} (entry point {self.entry_point})"

    def failure(self, reason: str) -> Failure:
        """The record that something of it is not available."""
        return Failure(self.distribution, self.version, self.entry_point, reason)


@frozen
class Failure(Source):
    """A plugin, or a part of one, that is not available."""

    reason: str
    """What is wrong, and what would be right."""

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


@frozen
class Component(Source):
    """A component that a plugin offers; its module is imported only by `load`."""

    kind: str
    """Name of its kind."""
    name: str
    """What a configuration calls it."""
    reference: str | type
    """``"module:Class"``, or the class itself."""
    contract: str = field(repr=False)
    """``"module:Class"`` of the contract of its kind."""

    @property
    def key(self) -> str:
        """The kind and the name, as in ``"noise.cosine"``."""
        return f"{self.kind}.{self.name}"

    @property
    def place(self) -> str:
        """``"module:Class"``, also where the plugin gave the class itself."""
        if isinstance(self.reference, str):
            return self.reference
        return f"{self.reference.__module__}:{self.reference.__qualname__}"

    @property
    def summary(self) -> str:
        """First line of the docstring of its class, read from the source: nothing of it is run.

        The packages around its module are imported. Empty where there is no such line.
        """
        if not isinstance(self.reference, str):
            return (inspect.getdoc(self.reference) or "").partition("\n")[0]
        module, _, name = self.reference.partition(":")
        try:
            spec = importlib.util.find_spec(module)
            loader: Any = spec.loader if spec else None
            source = str(loader.get_source(module))
            start = re.search(rf"^class {re.escape(name)}\b", source, re.MULTILINE)
            (cls, *_) = ast.parse(source[start.start() :]).body if start else [None]
        except Exception:  # noqa: BLE001  # foreign code, while a list is shown
            return ""
        text = ast.get_docstring(cls) if isinstance(cls, ast.ClassDef) else None
        return (text or "").partition("\n")[0]

    def load(self) -> type[Any]:
        """The component's class, imported and held against the contract of its kind.

        Raises:
            PluginError: it cannot be imported, is not a frozen attrs class, does not subclass the
                contract, or leaves a part of it unwritten.
        """
        return self._class

    @cached_property
    def _class(self) -> type[Any]:
        try:
            offered = resolve(self.reference) if isinstance(self.reference, str) else self.reference
            problem = _breach(offered, resolve(self.contract))
        except PluginError as error:
            problem = str(error)
        if problem:
            raise PluginError(f"{self.key} of {self.source} cannot be used: {problem}")
        cls: type[Any] = offered
        _LOADED.setdefault(cls, self)
        return cls


def named(part: object) -> str:
    """How messages name a component, as in ``sampler margin of aios-margin 0.1``.

    Args:
        part: an instance, or a class; one that no registry loaded is named by its class.
    """
    cls = part if isinstance(part, type) else type(part)
    component = _LOADED.get(cls)
    if component is None:
        return f"{cls.__module__}.{cls.__qualname__}"
    return f"{component.kind} {component.name} of {component.distribution} {component.version}"


def described(part: object) -> str:
    """Likewise with the values of its fields, as in ``... 0.1 (eps=0.5)``."""
    cls: Any = type(part)
    if not attrs.has(cls):
        return named(part)
    values = (
        f"{attribute.name}={getattr(part, attribute.name)!r}" for attribute in attrs.fields(cls)
    )
    listed = ", ".join(values)
    return f"{named(part)} ({listed})" if listed else named(part)


@contextmanager
def blamed(
    part: object, method: str, *, within: Sequence[tuple[object, object]] = ()
) -> Iterator[None]:
    """Around a call of a component: what it raises and nobody foresaw names the component.

    Args:
        part: the component, as for `named`.
        method: which is called.
        within: objects that it may call, each with the component that made it: the innermost of
            those that the error came through is named instead.

    Raises:
        PluginError: from whatever was raised, but for errors of ours and where memory runs out.
    """
    try:
        yield
    except (AIOSError, MemoryError):
        raise
    except Exception as error:
        # Of torch's two kinds, one is a class of its own; whoever runs the command names both.
        if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error):
            raise
        for frame in _frames(error):
            called = frame.f_locals.get("self")
            for made, maker in within:
                if called is made:
                    part, method = maker, frame.f_code.co_name
        raise PluginError(f"{named(part)}: {method} raised {describe(error)}") from error


def _frames(error: BaseException) -> Iterator[FrameType]:
    """Of the traceback, from the outermost on."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def canonical(name: str) -> str:
    """A distribution's or entry point's name as installers compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def resolve(reference: str) -> Any:
    """The object that ``"module:Class"`` names.

    Raises:
        PluginError: the module cannot be imported, or has no such attribute.
    """
    module_name, _, path = reference.partition(":")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what it prints is no answer of a command
            target = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # foreign code: SystemExit and Rust's panics are no Exception
        raise PluginError(import_fault(error, module_name)) from error
    for attribute in filter(None, path.split(".")):
        try:
            target = getattr(target, attribute)
        except AttributeError:
            raise PluginError(f"{module_name} has no {path}, named by {reference!r}") from None
    return target


def import_fault(error: BaseException, module_name: str) -> str:
    """Why importing a module failed, in one line."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        if f"{module_name}.".startswith(f"{error.name}."):
            return (
                f"the module {module_name} is gone (stale metadata, or never installed); "
                "expected the distribution reinstalled or uninstalled"
            )
        return f"importing {module_name} needs the module {error.name}, which is not installed"
    return f"importing {module_name} raised {describe(error)}"


def describe(error: BaseException) -> str:
    """An exception in one line: its type, its message, and the line of the plugin it left from."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    trace = error.__traceback__
    place = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith("<") and code.co_filename not in _LOADERS:
            place = f" ({code.co_filename}:{trace.tb_lineno})"
        trace = trace.tb_next
    return text + place


_LOADERS = {__file__, importlib.__file__}  # frames of ours, no news to a plugin's author


def _breach(cls: Any, contract: type) -> str | None:
    """How an object breaks its contract, or None where it keeps it."""
    if not inspect.isclass(cls):
        return f"it is {cls!r}; expected a class"
    if "__attrs_attrs__" not in vars(cls) or not attrs.inspect(cls).is_frozen:
        return f"{cls.__qualname__} is not a frozen attrs class; expected @attrs.frozen above it"
    if not issubclass(cls, contract):
        return f"{cls.__qualname__} does not subclass {contract.__module__}.{contract.__name__}"
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        return f"{cls.__qualname__} does not write {', '.join(missing)} of {contract.__name__}"
    return None
