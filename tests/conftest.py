"""What holds for every test."""

import os
import signal

# Before torch is imported: two threads on a loaded machine are many times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell that runs the tests in the background ignores Ctrl-C, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

from hypothesis import settings  # noqa: E402 - see above

pytest_plugins = ["aios_core.testing.fixtures"]

# Timing is benchmarked, never asserted. CI tries the same examples each time, so that it fails for
# what a change did; every other run looks for new ones.
settings.register_profile("aios", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("aios")
