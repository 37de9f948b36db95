"""The tiny run, and an engine of it."""

import pytest

from aios_core.inference import ArrowEngine


@pytest.fixture(scope="session")
def run(tiny_run):
    return tiny_run


@pytest.fixture(scope="session")
def engine(run):
    return ArrowEngine.load(run)
