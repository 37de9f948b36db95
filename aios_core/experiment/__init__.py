"""Experiments: evaluate a run, ablate a configuration, report what came of it."""
