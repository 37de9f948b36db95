"""Adapting a trained model: fitting, the gate, the journal, skill cards and the probe."""
