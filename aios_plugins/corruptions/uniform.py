"""Uniform noise: any token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aios_core.contracts import Corruption

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Vocabulary


@frozen
class Uniform(Corruption):
    """A token that does not survive is drawn from all tokens alike (UDLM, arXiv 2412.10193).

    Every token may change until the end, so that mistakes can be put right. A state does not show
    which of its tokens are clean: set ``backbone.time_conditioned``, and expect prompts to be
    followed less than with masks, for the network takes them for noise as it does all else.
    """

    def noise(self, alpha: Tensor, vocabulary: Vocabulary) -> Tensor:
        """1 / (V - 1) for each token but the mask."""
        share = alpha.new_full((vocabulary.size,), 1 / (vocabulary.size - 1))
        share[vocabulary.mask_id].zero_()
        return share.expand(*alpha.shape, -1)
