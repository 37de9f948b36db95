"""The default metrics, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_metrics() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "checked": "aios_plugins.metrics.checked:Checked",
        "distinct": "aios_plugins.metrics.distinct:Distinct",
        "entropy": "aios_plugins.metrics.entropy:Entropy",
        "exact-match": "aios_plugins.metrics.exact_match:ExactMatch",
        "judged": "aios_plugins.metrics.judged:Judged",
        "information": "aios_plugins.metrics.information:Information",
        "evolution": "aios_plugins.metrics.evolution:Evolution",
        "likelihood": "aios_plugins.metrics.likelihood:Likelihood",
        "memory": "aios_plugins.metrics.memory:Memory",
        "nelbo": "aios_plugins.metrics.nelbo:Nelbo",
        "twin": "aios_plugins.metrics.twin:Twin",
    }
