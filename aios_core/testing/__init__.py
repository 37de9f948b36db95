"""Kit for plugin authors: contract suites, the oracle, strategies, fixtures."""
