"""How every contract suite begins."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Generic, TypeVar

import attrs
import pytest
from hypothesis import HealthCheck, given, settings

from aios_core.errors import AIOSError, MissingExtraError
from aios_core.testing.generators import global_generators_left_alone
from aios_core.testing.values import edges, field_values

Plugin = TypeVar("Plugin")
Expected = TypeVar("Expected")


def expect(value: object, cls: type[Expected], what: str) -> Expected:
    """A value that a component gave, of the type that it is expected to have."""
    assert isinstance(value, cls), (
        f"{what} gives {value if value is None else type(value).__name__}; expected a "
        f"{cls.__name__}"
    )
    return value


class Contract(Generic[Plugin]):
    """Subclass a suite and set ``component``: a class, or one that is built (and small)."""

    component: ClassVar[Any]

    varied: ClassVar[dict[str, dict[str, Any]]] = {}
    """Tests that must pass whatever the values of the fields, and what they are called with."""

    numbers: ClassVar[str | None] = None
    """``"module:Class"`` of the suite of components that serve numbers and no tokens."""

    drawn: ClassVar[int] = 4
    """How many components of drawn values `varied` is tried with, besides those of bounds."""

    @classmethod
    def try_out(cls, plugin: Plugin) -> None:
        """Use it as its callers do; what it returns is of the type that they expect.

        All tests fail by what this tells, so that one mistake has one message. Without the extra
        that is missed here the suite is skipped.
        """

    @pytest.fixture(scope="class")
    @classmethod
    def instance(cls) -> Plugin:
        """What is tested: frozen, so that all tests may share it."""
        plugin: Plugin = cls.component() if isinstance(cls.component, type) else cls.component
        try:
            cls.try_out(plugin)
        except MissingExtraError as error:
            pytest.skip(str(error))
        return plugin

    def test_leaves_global_generators_alone(self, instance: Plugin) -> None:
        """What it draws comes from the generator that it is given."""
        with global_generators_left_alone():
            self.try_out(instance)

    def test_other_values_of_its_fields_keep_the_contract(
        self, instance: Any, request: pytest.FixtureRequest
    ) -> None:
        """Fault N2: at the bounds of its validators and between them, or an error says why not."""
        if not attrs.has(type(instance)) or not self.varied:
            return  # what has no fields is tested as it is

        def check(values: dict[str, Any]) -> None:
            try:
                plugin = attrs.evolve(instance, **values)
            except (ValueError, TypeError):  # fields that do not go together
                return
            try:
                self.holds(plugin, request)
            except AIOSError:
                return  # it says what would be right
            except Exception as error:
                shown = ", ".join(f"{k}={v!r}" for k, v in values.items())
                error.add_note(f"with {shown or 'its values as they are'}")
                raise

        for values in edges(type(instance)):
            check(values)
        settings(
            deadline=None,
            max_examples=self.drawn,
            database=None,
            derandomize=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )(given(field_values(type(instance)))(check))()

    def holds(self, plugin: Any, request: pytest.FixtureRequest) -> None:
        """Assert those parts of the contract that do not depend on the values of fields."""
        self.try_out(plugin)
        for name, arguments in self.varied.items():
            test = getattr(self, name)
            others = set(inspect.signature(test).parameters) - {"instance", *arguments}
            fixtures = {other: request.getfixturevalue(other) for other in sorted(others)}
            try:
                test(plugin, **arguments, **fixtures)
            except pytest.skip.Exception:
                continue
