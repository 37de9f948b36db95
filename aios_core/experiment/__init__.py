"""Experiments: evaluate a run, ablate a configuration, report what came of it."""

from aios_core.experiment.ablation import run_ablation
from aios_core.experiment.reports import write_reports
from aios_core.experiment.results import Results, read

__all__ = ["Results", "read", "run_ablation", "write_reports"]
