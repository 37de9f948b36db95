"""How every contract suite begins."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

import pytest

from aios_core.errors import MissingExtraError

Plugin = TypeVar("Plugin")


class Contract(Generic[Plugin]):
    """Subclass a suite and set ``component``: a class, or one that is built (and small)."""

    component: ClassVar[Any]

    @classmethod
    def try_out(cls, plugin: Plugin) -> None:
        """Use what may need an extra; without that extra the suite is skipped."""

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
