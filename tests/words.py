"""Words that the project does not use, and what it says in their place; `make lint` runs it.

Names and texts are read by people whose second language is English: one word for one thing, and the
field's own word where there is one. The glossary in CONTRIBUTING.md says which.
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

NAMES: Final = {
    "told": "what it is: memories, reported, on_progress",
    "telling": "what it is: memory batches, report",
    "doubt": "uncertainty",
    "doubts": "uncertain texts",
    "shelf": "index",
    "canvas": "prompts, rows",
    "remembered": "cached, stored",
    "recollection": "memory context",
    "pieces": "chunks, parts",
    "found": "what was looked for: rows, tensors, match, result",
    "one": "what it is one of: row, component, trial",
    "ones": "what they are: rows, components",
    "wanted": "expected, requested",
}
"""Names of variables, functions, classes, parameters and attributes, and better ones."""

TEXTS: Final = {
    r"\btold\b": "given, reported, conditioned on",
    r"\btells? of\b": "describes, names",
    r"\bwants?\b": "expected, requires, needs",
    r"\bdoubts?\b": "uncertainty, uncertain texts",
    r"\bis no (?!longer|more\b|such\b|less\b)[a-z]+;": "is not a ..., expected ...",
}
"""Phrases of docstrings, comments, messages and pages, and better ones."""

PYTHON: Final = ("aios_core", "aios_plugins", "examples", "tests", ".docs")
PAGES: Final = ("README.md", "CONTRIBUTING.md", "BENCHMARKS.md", "SECURITY.md", ".docs", "examples")


def main() -> int:
    """Print each use, with its place; 1 where there is one."""
    uses = list(_uses())
    for file, line, word, better in uses:
        sys.stdout.write(f"{file.relative_to(ROOT)}:{line}: {word!r}; expected {better}\n")
    return min(len(uses), 1)


def _uses() -> Iterator[tuple[Path, int, str, str]]:
    for folder in PYTHON:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if file == Path(__file__):
                continue
            yield from ((file, *use) for use in (*_names(file), *_python_texts(file)))
    for file in sorted((ROOT / "native").rglob("*.rs")):
        yield from ((file, *use) for use in _rust(file))
    for place in PAGES:
        path = ROOT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.md")):
            yield from ((file, *use) for use in _page(file))


def _page(file: Path) -> Iterator[tuple[int, str, str]]:
    """Lines of a page, but for the tables of CONTRIBUTING.md: the glossary names the words."""
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not (file.name == "CONTRIBUTING.md" and text.startswith("| ")):
            for word, better in _phrases(text):
                yield number, word, better


def _names(file: Path) -> Iterator[tuple[int, str, str]]:
    """Names that a file makes: where something is bound, not where it is used."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                pass
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                pass
            case ast.Attribute(attr=name, ctx=ast.Store()):
                pass
            case _:
                continue
        if better := NAMES.get(name.strip("_").lower()):
            yield node.lineno, name, better


def _python_texts(file: Path) -> Iterator[tuple[int, str, str]]:
    """Comments and texts; a text that is a single name is a value, which files may hold."""
    with file.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type == tokenize.STRING and token.string.strip("\"'").isidentifier():
                continue
            if token.type in {tokenize.COMMENT, tokenize.STRING}:
                for word, better in _phrases(re.sub(r"``.*?``", "", token.string)):
                    yield token.start[0], word, better


def _rust(file: Path) -> Iterator[tuple[int, str, str]]:
    """Comments and texts of Rust, line by line."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        comment = line.partition("//")[2]
        for text in (comment, *re.findall(r'"((?:[^"\\]|\\.)*)"', line.partition("//")[0])):
            for word, better in _phrases(text):
                yield number, word, better


def _phrases(text: str) -> Iterator[tuple[str, str]]:
    for pattern, better in TEXTS.items():
        for match in re.finditer(pattern, text, re.IGNORECASE):
            yield match[0], better


if __name__ == "__main__":
    sys.exit(main())
