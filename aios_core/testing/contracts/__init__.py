"""The contract suites: one file a kind, each a class to subclass."""
