"""Which files need which others, hints and imports inside functions included."""

import ast
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest

import aios_core

ROOT = Path(aios_core.__file__).parent
BELOW_CONTRACTS = {"contracts", "filters", "files", "allocation", "errors", "tensor_cache"}
"""What contracts may import from the core: themselves, and what stands below them."""

KNOTS = {
    ("contracts.checks", "contracts.records"): "checks of rows, and the names of what they check",
    (
        "contracts.partial",
        "contracts.primitives",
        "contracts.sharing",
        "contracts.storage",
        "contracts.store",
        "contracts.verifying",
    ): "a store knows the back end that opened it, which says what class opens",
    (
        "config.keys",
        "config.lock",
        "config.resolve",
    ): "a lock is read as a configuration is, and keys are of what was read",
}
"""Files that need each other, and why."""


def files():
    named = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


@cache
def arrows():
    """The modules of the core that each imports in any place."""
    known = files()
    return {name: imports(path.read_text(), known) - {name} for name, path in known.items()}


def imports(source, known):
    """The modules among those known that a source imports; of a package what is taken from it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "expected whole names, got an import that starts with a dot"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in known else node.module)
    return names & set(known)


def knots(graph):
    """Sets of two modules or more each of which leads to all others (Tarjan 1972)."""
    number, low, stack, result = {}, {}, [], []

    def visit(node):
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in number:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == number[node]:
            place = stack.index(node)
            if len(stack) - place > 1:
                result.append(tuple(sorted(stack[place:])))
            del stack[place:]

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return result


def test_knots_are_found():
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": {"a", "d"}}
    assert [("a", "b", "c"), ("d", "e")] == sorted(knots(graph))


def test_imports_are_found_wherever_they_stand():
    source = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from aios_core.diffusion.model import Model
def f():
    from aios_core.diffusion import process
    import aios_core.training.data
"""
    expected = {"diffusion.model", "diffusion.process", "training.data"}
    assert {f"aios_core.{name}" for name in expected} == imports(source, files())


def test_no_two_files_need_each_other():
    tied = {tuple(name.removeprefix("aios_core.") for name in knot) for knot in knots(arrows())}

    assert set(KNOTS) >= tied, "tied anew: untie it, or say in KNOTS why the files need each other"
    assert set(KNOTS) <= tied, "KNOTS names what is untied by now; take it out"
    assert all(len(reason.splitlines()) == 1 for reason in KNOTS.values())
    assert not any(set(combination) & set(other) for combination, other in combinations(KNOTS, 2))


@pytest.mark.parametrize(
    "name", [name for name in files() if name.startswith("aios_core.contracts")]
)
def test_contracts_name_no_class_of_ours(name):
    """Not even in a hint: a plugin's contract is a protocol."""
    above = {
        other
        for other in arrows()[name]
        if other.partition(".")[2].partition(".")[0] not in BELOW_CONTRACTS
    }

    assert not above, "contracts/model.py is the place to say what such a thing must offer"
