"""English prose that every CPython carries: the default data set, which needs no download."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from attrs import frozen

from aios_core.contracts import Dataset
from aios_core.errors import DataError

_SKIPPED = {
    "site-packages",  # what is installed here is not in every Python
    "dist-packages",
    "test",  # tests describe tests
    "tests",
    "idle_test",
    "encodings",  # seventy times the same two sentences
    "lib2to3",  # gone in Python 3.13
    "distutils",  # gone in Python 3.12
}


@frozen
class PythonDocs(Dataset):
    """The documentation inside Python: help topics and the docstrings of the standard library.

    About 2 MB of technical English. One document a module, sorted by name, docstrings in the order
    of the source; the topics of ``help()`` are documents of their own. Files are parsed, never
    imported. The text depends on the version of Python: compare only runs made with one.
    """

    def documents(self) -> Iterator[str]:
        """Every module's docstrings and every topic.

        Raises:
            DataError: this Python comes without the source of its library.
        """
        yield from _documents(Path(sysconfig.get_path("stdlib")))

    def files(self) -> tuple[Path, ...]:
        """Every module that documents are taken from."""
        return _modules(Path(sysconfig.get_path("stdlib")))


@cache
def _documents(root: Path) -> tuple[str, ...]:
    """Documents of a standard library; kept, because parsing it takes two seconds."""
    texts: list[str] = []
    for path in _modules(root):
        tree = ast.parse(path.read_bytes(), filename=str(path))
        topics = _topics(tree) if path == root / "pydoc_data" / "topics.py" else []
        texts += topics or ["\n\n".join(_docstrings(tree))]
    documents = tuple(document for document in texts if document)
    if not documents:
        raise DataError(
            f"{root} holds no Python source, so the data set 'python-docs' is empty; "
            "install Python with its library, or use dataset.type = 'file'"
        )
    return documents


def _modules(root: Path) -> tuple[Path, ...]:
    """Modules of a standard library, sorted by name."""
    names = {path: path.relative_to(root).with_suffix("").parts for path in root.rglob("*.py")}
    kept = [path for path, parts in names.items() if _SKIPPED.isdisjoint(parts)]
    return tuple(sorted(kept, key=names.__getitem__))


def _docstrings(node: ast.Module | ast.ClassDef) -> Iterator[str]:
    """Docstrings of a module or class and of what it defines, in the order of the source."""
    if text := ast.get_docstring(node):
        yield text
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from _docstrings(child)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and (
            text := ast.get_docstring(child)
        ):
            yield text


def _topics(tree: ast.Module) -> list[str]:
    """Values of the dict literal ``topics`` in pydoc_data/topics.py, sorted by key."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            topics: dict[str, str] = ast.literal_eval(node.value)
            return [topics[name].strip() for name in sorted(topics)]
    return []
