"""Contract suites over one distribution, in a process of their own: ``aios plugins check``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from aios_core.component import canonical
from aios_core.errors import require_extra

if TYPE_CHECKING:
    from aios_core.registry import Registry

SLOW: Final = 10.0
"""Seconds for one contract after which it is named; those of this project take less."""


@frozen
class Result:
    """How a check ended."""

    passed: bool
    summary: str
    """A line for what was not loaded, each component, and each cause; the verdict is the last."""


def check_distribution(registry: Registry, distribution: str, *, verbose: bool = False) -> Result:
    """Run the contract suites over all that a distribution offers.

    Args:
        registry: what is installed.
        distribution: a name, in any spelling that installers take for the same.
        verbose: let pytest write its own pages to stdout.

    Raises:
        PluginError: no such distribution has a plugin.
        MissingExtraError: the suites need what is not installed.
    """
    require_extra("aios plugins check", "test", "pytest", "hypothesis")
    known = {component.distribution for component in (*registry.offers(), *registry.failures)}
    same = {canonical(name): name for name in known}
    name = same.get(canonical(distribution))
    if name is None:
        raise registry.miss("distribution with plugins", distribution, known)
    keys = [component.key for component in registry.offers() if component.distribution == name]
    failures = [str(failure) for failure in registry.failures if failure.distribution == name]
    if not keys:
        return Result(False, "\n".join((*failures, f"{name}: not loaded, so nothing was checked")))
    events, problem = _run(name, verbose=verbose)
    lines = [line for key in dict.fromkeys(keys) for line in _component(key, events)]
    verdict = problem or _verdict(keys, events, failures)
    kept = not (problem or failures or any(event["outcome"] == "failed" for event in events))
    return Result(
        kept, "\n".join((*failures, *lines, f"{name} offers {', '.join(keys)}: {verdict}"))
    )


def _verdict(keys: list[str], events: list[dict[str, Any]], failures: list[str]) -> str:
    """What the last line says of what is offered; never more than was tried."""
    tried = {event["key"] for event in events if event["outcome"] != "skipped"}
    broken = {event["key"] for event in events if event["outcome"] == "failed"}
    unchecked = [key for key in dict.fromkeys(keys) if key not in tried]
    if broken:
        verdict = f"contracts are broken by {', '.join(sorted(broken))}"
    elif not tried:
        verdict = "no contract was tried"
    elif unchecked or failures:
        verdict = f"contracts kept by {', '.join(sorted(tried))}"
    else:
        verdict = "all contracts kept"
    if unchecked:
        verdict += f"; not checked: {', '.join(unchecked)}"
    return verdict + ("; other plugins of it were not loaded, see above" if failures else "")


def _component(key: str, events: list[dict[str, Any]]) -> Iterator[str]:
    """Lines on one component: its contracts, causes of those that are broken, and what is slow."""
    own = [event for event in events if event["key"] == key]
    by = {outcome: _contracts(own, outcome) for outcome in ("passed", "failed", "skipped")}
    failed = {contract for contracts in by["failed"].values() for contract in contracts}
    passed = {contract for contracts in by["passed"].values() for contract in contracts} - failed
    if failed or passed:
        seconds = sum(event["seconds"] for event in own)
        count = f"{len(failed)} of {len(failed | passed)} contracts are broken"
        if not failed:
            count = f"{len(passed)} contracts kept"
        yield f"{key}: {count}, in {seconds:.1f} s"
    for cause, contracts in by["failed"].items():
        yield f"  {key} breaks {_listed(contracts)}: {cause}"
    for cause, contracts in by["skipped"].items():
        yield f"  {key} was not held to {_listed(contracts)}: {cause}"
    for event in own:
        if event["seconds"] > SLOW:
            yield (
                f"  {key} is slow: {event['contract']} took {event['seconds']:.1f} s; expected at "
                f"most {SLOW:g} s on an idle machine"
            )


def _contracts(events: list[dict[str, Any]], outcome: str) -> dict[str, list[str]]:
    """Causes, and what each of them decided: one mistake often breaks several contracts.

    Those that differ only in the values that came are one, with the values of the first.
    """
    causes: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    for event in events:
        if event["outcome"] == outcome:
            cause = first.setdefault(event["cause"].partition("; got ")[0], event["cause"])
            contracts = causes.setdefault(cause, [])
            if event["contract"] not in contracts:
                contracts.append(event["contract"])
    return causes


def _listed(contracts: list[str]) -> str:
    few = ", ".join(contracts[:3])
    return few if len(contracts) <= 3 else f"{few} and {len(contracts) - 3} more"


def _run(distribution: str, *, verbose: bool) -> tuple[list[dict[str, Any]], str | None]:
    """What the suites reported, and why they did not come to their end."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "events.jsonl")
        module = "aios_core.testing.reporting"
        command = (sys.executable, "-m", module, distribution, str(place))
        environ = {**os.environ, "AIOS_STRICT_PLUGINS": ""}  # others' faults are not in question
        output = None if verbose else subprocess.PIPE
        done = subprocess.run(  # noqa: S603  # ours
            command,
            cwd=folder,
            env=environ,
            check=False,
            stdout=output,
            stderr=None if verbose else subprocess.STDOUT,
        )
        lines = place.read_text(encoding="utf-8").splitlines() if place.is_file() else []
    events = [json.loads(line) for line in lines]
    begun = next((event["begun"] for event in reversed(events) if "begun" in event), "its start")
    ended = [event for event in events if "key" in event]
    if done.returncode in (0, 1) and 2 * len(ended) == len(events) > 0:
        return ended, None
    last = (done.stdout or b"").decode(errors="replace").strip().rpartition("\n")[2]
    return ended, f"the suites ended with exit code {done.returncode} in {begun}: {last}"
