"""x"""

from pathlib import Path

from aios_core.experiment.results import Results
from aios_core.experiment.tables import write_tables


def write_report(results: Results) -> Path:
    write_tables(results)
    return results.folder / "report.html"
