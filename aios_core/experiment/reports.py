"""The reports of an ablation: which there are, what they need, and their writing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aios_core.component import blamed
from aios_core.config.resolve import section
from aios_core.errors import MissingExtraError

if TYPE_CHECKING:
    from aios_core.contracts import Report
    from aios_core.experiment.results import Results
    from aios_core.registry import Registry


def reports_of(
    results: Results, names: Sequence[str] = (), *, registry: Registry | None = None
) -> tuple[Report, ...]:
    """The reports that the configuration of an ablation holds, or others.

    Args:
        results: of the ablation.
        names: in the registry, of the others.
        registry: where they are looked up; None discovers the installed ones.

    Raises:
        ConfigError: there is none of a name.
    """
    values = [{"type": name} for name in names] or results.about.get("reports")
    reports, _ = section("reports", values=values, registry=registry)
    return tuple(reports)


def usable(reports: Sequence[Report]) -> tuple[tuple[Report, ...], tuple[MissingExtraError, ...]]:
    """Those whose modules are installed, and what the others miss."""
    usable_reports, missing = [], []
    for report in reports:
        try:
            with blamed(report, "check"):
                report.check()
            usable_reports.append(report)
        except MissingExtraError as error:
            missing.append(error)
    return tuple(usable_reports), tuple(missing)


def write_reports(results: Results, reports: Sequence[Report] | None = None) -> tuple[Path, ...]:
    """Write reports into the folder of an ablation.

    Args:
        results: of the ablation.
        reports: to write; None: those of its configuration, as `reports_of` gives them.

    Returns:
        The file of each that a reader opens first.

    Raises:
        MissingExtraError: one of them needs a module that is not installed.
        PluginError: one of them fails.
    """
    written = []
    for report in reports_of(results) if reports is None else reports:
        with blamed(report, "write"):
            written.append(report.write(results))
    return tuple(written)
