"""Experiments: evaluate a run, read an ablation, report what came of it."""

from aios_core.experiment.reports import write_reports
from aios_core.experiment.results import Results, read

__all__ = ["Results", "read", "write_reports"]
