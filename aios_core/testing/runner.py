"""Contract suites over one distribution, in a process of their own: ``aios plugins check``."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from aios_core.component import canonical
from aios_core.errors import MissingExtraError

if TYPE_CHECKING:
    from aios_core.registry import Registry

_TESTS: Final = """\
from aios_core.registry import Registry
from aios_core.testing.conformance import contract_tests

globals().update(contract_tests(Registry.discover(), {distribution!r}))
"""


@frozen
class Result:
    """How a check ended."""

    passed: bool
    summary: str
    """One line, or more where plugins of the distribution failed to load."""


def check_distribution(registry: Registry, distribution: str) -> Result:
    """Run the contract suites over all that a distribution offers; pytest writes to stdout.

    Args:
        registry: what is installed.
        distribution: a name, in any spelling that installers take for the same.

    Raises:
        PluginError: no such distribution has a plugin.
        MissingExtraError: the suites need what is not installed.
    """
    for module in ("pytest", "hypothesis"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("aios plugins check", "test", module)
    known = {one.distribution for one in (*registry.offers(), *registry.failures)}
    same = {canonical(name): name for name in known}
    name = same.get(canonical(distribution))
    if name is None:
        raise registry.miss("distribution with plugins", distribution, known)
    offers = [one for one in registry.offers() if one.distribution == name]
    failures = [str(failure) for failure in registry.failures if failure.distribution == name]
    kept = not offers or _run(name)
    keys = ", ".join(one.key for one in offers) or "nothing"
    verdict = f"{name} offers {keys}: {'all contracts kept' if kept else 'a contract is broken'}"
    return Result(kept and not failures, "\n".join((*failures, verdict)))


def _run(distribution: str) -> bool:
    """Whether the suites pass; in an empty folder, so that no project's settings apply."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        tests = Path(folder, "test_contracts.py")
        tests.write_text(_TESTS.format(distribution=distribution), encoding="utf-8")
        command = (
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rs",
            "--no-header",
            "-p",
            "no:cacheprovider",
        )
        environ = {**os.environ, "AIOS_STRICT_PLUGINS": ""}  # others' faults are not in question
        done = subprocess.run((*command, tests.name), cwd=folder, env=environ, check=False)  # noqa: S603  # ours
        return done.returncode == 0
