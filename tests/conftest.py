"""What holds for every test."""

import os

# Before torch is imported: two threads on a loaded machine are many times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("aios", deadline=None)  # timing is benchmarked, never asserted
settings.load_profile("aios")
