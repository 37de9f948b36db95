"""The command line `aios`."""
def main() -> None:
    """Entry point."""
    raise SystemExit("not yet")
