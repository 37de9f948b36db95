"""The documentation of fields: the string that stands below each of them."""

from __future__ import annotations

import ast
import inspect
import textwrap


def field_docs(cls: type) -> dict[str, str]:
    """The strings below the fields of a class and of its bases, read from the source."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            source = textwrap.dedent(inspect.getsource(base))
            (node,) = ast.parse(source).body
        except (OSError, SyntaxError, TypeError, ValueError):
            continue  # made at run time, or shipped without its source: it has fields all the same
        assert isinstance(node, ast.ClassDef)
        for above, below in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(above, ast.AnnAssign)
                and isinstance(above.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                docs[above.target.id] = inspect.cleandoc(below.value.value)
    return docs
