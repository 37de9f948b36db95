"""The default samplers."""

from aios_core.testing.contracts.sampler import SamplerContract
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.confidence import Confidence
from aios_plugins.samplers.first_hitting import FirstHitting


class TestAncestral(SamplerContract):
    component = Ancestral


class TestConfidence(SamplerContract):
    component = Confidence


class TestFirstHitting(SamplerContract):
    component = FirstHitting
