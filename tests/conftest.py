"""What holds for every test."""

import os
import signal

# Before torch is imported: two threads on a loaded machine are many times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell that runs the tests in the background ignores Ctrl-C, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

from hypothesis import settings  # noqa: E402 - see above

settings.register_profile("aios", deadline=None)  # timing is benchmarked, never asserted
settings.load_profile("aios")
