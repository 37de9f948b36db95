"""A quantizer: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core.quantization import affine

AIOS_API = 1


@frozen
class Clipped(affine.AffineQuantizer):
    """Round to nearest between three standard deviations."""

    method = "clipped"

    def fit(self, groups, statistics):
        """Codes, scales and offsets of (rows, groups, size) weights; packing is the base's."""
        levels = 2**self.bits - 1
        deviation = groups.std(-1, unbiased=False)
        low = (groups.mean(-1) - 3 * deviation).clamp(min=groups.amin(-1))
        high = (groups.mean(-1) + 3 * deviation).clamp(max=groups.amax(-1))
        scale, offset = ((high - low) / levels).half().float(), low.half().float()
        steps = (groups - offset[..., None]) / scale.where(scale != 0, 1)[..., None]
        return affine.Affine(steps.round().clamp(0, levels), scale, offset)


@aios_core.hookimpl
def aios_quantizers():
    """Names, and the classes they stand for."""
    return {"clipped": Clipped}
