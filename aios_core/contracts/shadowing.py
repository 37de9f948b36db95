"""Names that a base class uses itself, and that nobody who writes a subclass takes by accident."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any


def check_class(cls: type, base: type, primitives: type) -> None:
    """Whether a new subclass leaves to its base what is the base's, mixins included.

    Args:
        cls: the subclass.
        base: has the methods and fields that stay as they are.
        primitives: a base of ``base``, with the methods that a subclass may write, and the fields
            that ``base`` sets.

    Raises:
        TypeError: it defines a name that is the base's, or a primitive that is not a method.
    """
    missing = object()
    for name in (*_own(base, primitives), *_methods(primitives)):
        value = inspect.getattr_static(cls, name, missing)
        if value is not inspect.getattr_static(base, name, missing):
            owner = next(base for base in cls.__mro__ if name in vars(base))
            _check(owner, base, primitives, name, value)


def check_attribute(cls: type, base: type, primitives: type, name: str, value: Any) -> None:
    """Whether an attribute of an object hides no method of the base.

    Raises:
        TypeError: it does.
    """
    if name in _methods(primitives) or (
        name in _own(base, primitives) and name not in _fields(primitives)
    ):
        _check(cls, base, primitives, name, value)


def _check(owner: type, base: type, primitives: type, name: str, value: Any) -> None:
    where = f"{owner.__module__}.{owner.__qualname__}"
    if name in _own(base, primitives):
        raise TypeError(
            f"{where} defines {name!r}, which {base.__name__} uses itself; expected another name"
        )
    if not callable(value):
        raise TypeError(
            f"{where} defines {name!r}, which {base.__name__} calls; expected a method as in "
            f"{primitives.__name__}, got {value!r}"
        )


@cache
def _fields(cls: type) -> frozenset[str]:
    return frozenset(inspect.get_annotations(cls))


@cache
def _methods(cls: type) -> frozenset[str]:
    """Of its own, without those that Python calls."""
    functions = (name for name, value in vars(cls).items() if inspect.isfunction(value))
    return frozenset(name for name in functions if not name.endswith("__"))


@cache
def _own(base: type, primitives: type) -> frozenset[str]:
    """Names for the base alone: fields, and methods from the base down to the primitives."""
    between = base.__mro__[: base.__mro__.index(primitives)]
    return _fields(primitives).union(*(_methods(base) for base in between))
