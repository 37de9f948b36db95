"""Models in few bits: what quantizers share, the operator, the module, and how models change."""
