"""The defaults, registered by entry point exactly as a third party's would be."""
