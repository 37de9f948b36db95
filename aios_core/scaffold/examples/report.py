"""A report: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core import contracts
from aios_core.files import replace_text

AIOS_API = 1


@frozen
class Lines(contracts.Report):
    """A line of text an arm."""

    def write(self, results):
        """The mean of what arms are judged by, and whether seeds say that it is better or worse."""
        lines = []
        for arm in results.arms:
            summary = arm.summary(results.headline) if results.headline else None
            mean = "nothing measured" if summary is None else f"{summary.mean:.3f}"
            verdict = results.verdict(arm, results.headline) if summary else None
            lines.append(f"{arm.label}: {mean} {verdict or ''}".rstrip())
        path = results.folder / "lines.txt"
        replace_text(path, "\n".join([*lines, ""]))
        return path


@aios_core.hookimpl
def aios_reports():
    """Names, and the classes they stand for."""
    return {"lines": Lines}
