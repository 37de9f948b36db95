"""The report as a page: ``report.html``, one file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from aios_core.contracts import AblationResults, Report
from aios_core.errors import require_extra
from aios_core.files import replace_text


@frozen
class Html(Report):
    """A page with the table, figures, texts of every arm, and what was found in words."""

    def check(self) -> None:
        """It needs the extra ``ablate``."""
        require_extra("the report 'html'", "ablate", "jinja2", "matplotlib")

    def write(self, results: AblationResults) -> Path:
        """Write ``report.html``."""
        self.check()
        from aios_plugins.reports.html.page import render

        path = results.folder / "report.html"
        replace_text(path, render(results))
        return path
