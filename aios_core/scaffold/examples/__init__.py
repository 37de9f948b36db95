"""A whole plugin of each kind: what ``aios plugins new`` begins with. Each meets its contract."""
