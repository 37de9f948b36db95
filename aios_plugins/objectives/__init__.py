"""The default objectives, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_objectives() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "d3pm": "aios_plugins.objectives.d3pm:D3PM",
        "exact-count": "aios_plugins.objectives.exact_count:ExactCount",
        "nelbo": "aios_plugins.objectives.nelbo:Nelbo",
        "score-entropy": "aios_plugins.objectives.score_entropy:ScoreEntropy",
        "squared-error": "aios_plugins.objectives.squared_error:SquaredError",
    }
