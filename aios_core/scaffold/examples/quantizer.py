"""A quantizer: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core.quantization import affine

AIOS_API = 1


@frozen
class Clipped(affine.AffineQuantizer):
    """Round to nearest, after the largest and smallest weights of each group are cut a little."""

    method = "clipped"

    def fit(self, groups, statistics):
        """Codes, scales and offsets of (rows, groups, size) weights; packing is the base's."""
        levels = 2**self.bits - 1
        low, high = groups.amin(-1), groups.amax(-1)
        cut = (high - low) / (4 * levels)  # a quarter of a step: all others get finer ones
        scale = ((high - low - 2 * cut) / levels).half().float()
        offset = (low + cut).half().float()
        steps = (groups - offset[..., None]) / scale.where(scale != 0, 1)[..., None]
        return affine.Affine(steps.round().clamp(0, levels), scale, offset)


@aios_core.hookimpl
def aios_quantizers():
    """Names, and the classes they stand for."""
    return {"clipped": Clipped}
