"""A schedule of which only alpha is written, as the README shows one, is a whole schedule."""

from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import NoiseScheduler
from aios_core.testing.contracts.noise import NoiseContract


@frozen
class Power(NoiseScheduler):
    """Keep a token until time t with probability 1 - t**k."""

    k: float = field(default=2.0, validator=validators.gt(0))

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t**self.k


class TestSquare(NoiseContract):
    component = Power


class TestSteepAtTheStart(NoiseContract):
    """The inverse needs more than 53 bisections."""

    component = Power(0.5)
    epsilon = 1e-6


class TestFlatAtTheStart(NoiseContract):
    """Near t = 0 the mask rate 1 - alpha rounds to 0, where weight and loss must stay numbers."""

    component = Power(6.0)
