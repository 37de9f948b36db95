"""The default commands, one a file or a folder; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_commands() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "evolve": "aios_plugins.commands.evolve:Evolve",
        "memory": "aios_plugins.commands.memory:Memory",
        "probe": "aios_plugins.commands.probe:Probe",
        "quantize": "aios_plugins.commands.quantize:Quantize",
        "report": "aios_plugins.commands.report:Report",
        "skill": "aios_plugins.commands.skill:Skill",
        "tokenizer": "aios_plugins.commands.tokenizer:Tokenizer",
        "uncertainty": "aios_plugins.commands.uncertainty:Uncertainty",
        "verify": "aios_plugins.commands.verify:Verify",
        "weights": "aios_plugins.commands.weights:Weights",
    }
