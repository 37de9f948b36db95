"""The contract suites over everything that is registered."""

from aios_core.registry import Registry
from aios_core.testing.conformance import contract_tests

globals().update(contract_tests(Registry.discover(), "ai-os-diffusion"))
