"""What a suite reports of a component: for each test the contract, the outcome and the cause.

``python -m aios_core.testing.reporting DISTRIBUTION FILE`` runs the suites of a distribution and
writes a line of JSON for each event; `aios_core.testing.runner` reads them.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, TextIO

import pytest

_TESTS = """\
from aios_core.registry import Registry
from aios_core.testing.conformance import contract_tests

globals().update(contract_tests(Registry.discover(), {distribution!r}))
"""


_MOST: Final = 160
"""Characters of the values that a reason shows."""


class Reporter:
    """A plugin of pytest that writes what begins and how it ends."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.worst, self.seconds = file, ("passed", ""), 0.0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Written first, for a test may end the process."""
        self.worst, self.seconds = ("passed", ""), 0.0
        self._write(begun=nodeid.partition("::")[2])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Function, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        """Of a fixture or a test; a test has ended when its fixtures have."""
        report = yield
        self.seconds += call.duration
        if call.excinfo is not None and self.worst[0] != "failed":
            self.worst = report.outcome, cause(call.excinfo.value, item)
        if call.when == "teardown":
            self._write(
                key=item.cls.key,
                contract=item.originalname,
                outcome=self.worst[0],
                cause=self.worst[1],
                seconds=self.seconds,
            )
        return report

    def _write(self, **event: Any) -> None:
        self.file.write(json.dumps(event) + "\n")
        self.file.flush()


def cause(error: BaseException, item: pytest.Function) -> str:
    """Why a test failed or was skipped, in one line.

    Args:
        error: what it raised.
        item: the test, one of a contract suite.
    """
    while isinstance(error, BaseExceptionGroup):  # several, found by examples of one property
        error = error.exceptions[0]
    values = "".join(f"{note}: " for note in _notes(error) if note.startswith("with "))
    return values + " ".join(_cause(error, item).split())


def _cause(error: BaseException, item: pytest.Function) -> str:
    message = str(error)
    first = message.partition("\n")[0]
    if isinstance(error, (pytest.skip.Exception, pytest.fail.Exception)):
        return message
    entries = pytest.ExceptionInfo.from_exception(error).traceback
    source = _file(getattr(item.cls, "component", None))
    for entry in reversed(entries):
        if str(entry.path) == source and not isinstance(error, AssertionError):
            place = f"{entry.path}:{entry.lineno + 1}"
            return f"{entry.name} raised {type(error).__name__}: {message} ({place})"
    ours = [entry for entry in entries if Path(__file__).parent in Path(entry.path).parents]
    statement = str(ours[-1].statement).strip() if ours else item.name
    if not isinstance(error, AssertionError):
        return f"{type(error).__name__}: {message} (in the suite's {statement})"
    if statement.startswith("assert_close("):
        return _difference(statement, message)
    if first and not first.startswith("assert "):
        return f"{first}: {compared}" if (compared := _compared(statement, message)) else first
    promise = (inspect.getdoc(item.obj) or "").partition("\n")[0]
    shown = statement.removeprefix("assert ")
    return f"{promise} Expected {shown}{_got(first, shown)}"


def _compared(statement: str, message: str) -> str:
    """What was expected and came, where words beside a comparison do not say so themselves."""
    first, values = [*message.split("\n"), ""][:2]
    try:
        check = ast.parse(textwrap.dedent(statement)).body[0]
    except SyntaxError:
        return ""
    if not isinstance(check, ast.Assert) or not isinstance(check.test, ast.Compare):
        return ""
    if "expected" in first or not values.startswith("assert "):
        return ""
    shown = ast.unparse(check.test)
    return f"expected {shown}{_got(values, shown)}"


def _got(values: str, shown: str) -> str:
    """The values of what was asserted, as pytest writes them, where these are known."""
    got = values.removeprefix("assert ")
    return f"; got {_shorten(got)}" if got not in ("", shown) else ""


def _shorten(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."


def _difference(statement: str, message: str) -> str:
    """Of an identity between two tensors: which one it is, and how far they are apart."""
    call: Any = ast.parse(textwrap.dedent(statement)).body[0]
    got, expected = map(ast.unparse, call.value.args[:2])
    far = re.search(r"[Aa]bsolute difference: (\S+)", message)
    problem = f"they differ by {far[1]}" if far else message.partition("\n")[0]
    return f"{got} is not {expected}: {problem}"


def _notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", ()))


def _file(component: Any) -> str | None:
    """Where a component, a class or an instance, is written."""
    if component is None:
        return None
    try:
        return inspect.getfile(component if isinstance(component, type) else type(component))
    except (TypeError, OSError):
        return None


def main(distribution: str, events: str) -> int:
    """Run the suites in this folder, so that no project's settings apply; pytest's exit code."""
    Path("pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    tests = Path("test_contracts.py")
    tests.write_text(_TESTS.format(distribution=distribution), encoding="utf-8")
    with Path(events).open("w", encoding="utf-8") as file:
        arguments = ["-q", "-rs", "--no-header", "-p", "no:cacheprovider", tests.name]
        return int(pytest.main(arguments, plugins=[Reporter(file)]))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
