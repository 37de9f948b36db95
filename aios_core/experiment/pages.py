"""Where the templates of reports come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def environment() -> Environment:
    """Templates of this package; every text in them is escaped, and what is missing is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("aios_core.experiment"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
