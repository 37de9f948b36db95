"""What counts of one module: its syntax tree, without what changes no number.

Left out are comments, docstrings, hints (those of a class body stay: they are the fields of a
component), imports that nothing but hints use, and what is given to an error that is raised. The
tree is written by the names of its parts, so that every version of Python writes the same.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Container, Iterator
from typing import Any, Final

import attrs


@attrs.frozen(order=True)
class Import:
    """One name that a module imports."""

    bound: str
    """The name that it has here."""
    module: str
    """Where it comes from; all of it, where `name` is empty."""
    name: str
    guarded: bool = False
    """Whether the module does without, where it is not there: it stands in a ``try``."""

    @property
    def top(self) -> str:
        """The package that everything there is in."""
        return self.module.partition(".")[0]


@attrs.frozen
class Module:
    """What counts of one module."""

    digest: str
    """Of its syntax tree, in which modules of its own package and of ours have no names."""
    imports: tuple[Import, ...] = ()
    """From its own package and from ours, as far as it uses them itself."""
    handed_on: tuple[Import, ...] = ()
    """The others: modules may import those names from here."""
    libraries: frozenset[str] = frozenset()
    """Top-level packages of others that it uses."""


def module(tree: ast.Module, package: str, own: Container[str]) -> Module:
    """What counts of a module.

    Args:
        tree: it is changed.
        package: that the module is in, or is: relative imports start there.
        own: top-level packages whose modules have no names here.
    """
    bare = _Bare(package)
    parts: list[str] = []
    used = set(_write(bare.visit(tree), parts.append))
    imports = sorted({at for at in bare.imports if at.bound in used or at.name == "*"})
    for at in imports:
        parts += [at.bound, "" if at.top in own else at.module, at.name]
    ours = {attrs.evolve(at, name=at.name.strip("*")) for at in bare.imports if at.top in own}
    return Module(
        sha256("\0".join(parts)),
        tuple(at for at in sorted(ours) if at.bound in used or at.bound == "*"),
        tuple(at for at in sorted(ours) if not (at.bound in used or at.bound == "*")),
        frozenset(at.top for at in imports if at.top not in own),
    )


class _Bare(ast.NodeTransformer):
    """Takes away what changes no number, and collects imports."""

    def __init__(self, package: str) -> None:
        self._package, self._in_class, self._guarded = package, False, False
        self.imports: list[Import] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._body(node, in_class=True)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        if any(
            isinstance(decorator, ast.Name) and decorator.id == "overload"
            for decorator in node.decorator_list
        ):
            return None
        node.returns = None
        return self._body(node, in_class=False)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self._body(node, in_class=False)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._body(node, in_class=False)

    def _body(self, node: ast.AST, *, in_class: bool) -> ast.AST:
        before, self._in_class = self._in_class, in_class
        self.generic_visit(node)
        self._in_class = before
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if self._in_class:
            return self.generic_visit(node)
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign(targets=[node.target], value=node.value))

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Pass(self, _node: ast.Pass) -> None:
        return None

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc = ast.Call(func=node.exc.func, args=[], keywords=[])
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Texts between values are one text, and none where it is empty: Pythons differ there."""
        parts: list[ast.expr] = []
        for part in node.values:
            before = parts[-1] if parts else None
            if isinstance(part, ast.Constant) and isinstance(before, ast.Constant):
                parts[-1] = ast.Constant(str(before.value) + str(part.value))
            elif not isinstance(part, ast.Constant) or part.value:
                parts.append(part)
        node.values = parts
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        test = node.test.attr if isinstance(node.test, ast.Attribute) else node.test
        if getattr(test, "id", test) == "TYPE_CHECKING":
            rest = self.generic_visit(ast.Module(body=node.orelse, type_ignores=[]))
            return rest.body  # type: ignore[attr-defined,no-any-return]
        return self.generic_visit(node)

    def visit_Try(self, node: ast.Try) -> ast.AST:
        before, self._guarded = self._guarded, True
        self.generic_visit(node)
        self._guarded = before
        return node

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            self.imports.append(Import(bound, alias.name, "", self._guarded))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            base = self._package.split(".")
            module = ".".join([*base[: len(base) + 1 - node.level], *filter(None, [module])])
        for alias in node.names:
            bound = alias.asname or alias.name
            self.imports.append(Import(bound, module, alias.name, self._guarded))


_UNWRITTEN: Final = frozenset({"ctx", "kind", "type_comment", "type_ignores", "type_params"})


def _write(node: Any, write: Callable[[str], None]) -> Iterator[str]:
    """Write a tree; yields the names, and the texts, that stand in it."""
    if isinstance(node, ast.AST):
        write(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if name in _UNWRITTEN or value is None or value == []:
                continue
            write(name)
            yield from _write(value, write)
        write(")")
    elif isinstance(node, list):
        for child in node:
            yield from _write(child, write)
        write("]")
    else:
        write(f"{type(node).__name__} {node!r}")
        if isinstance(node, str):
            yield node


def sha256(text: str) -> str:
    """Hex digits, of the text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
