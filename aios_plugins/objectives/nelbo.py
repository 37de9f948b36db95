"""The bound of the likelihood, in continuous time."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from aios_core.contracts import Continuous, Vocabulary
from aios_core.diffusion.bounds import Bound


@frozen
class Nelbo(Bound):
    """The continuous-time bound of any corruption, at times spread evenly over the batch.

    For masks the weighted cross-entropy of MDLM (arXiv 2406.07524), for uniform noise UDLM's
    (arXiv 2412.10193), for the hybrid GIDD's (arXiv 2503.04482), for numbers VDM's (arXiv
    2107.00630): all are nats, and add up.
    """

    spaces: ClassVar = (Vocabulary, Continuous)
