"""What every conditioner must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aios_core.config import resolve
from aios_core.contracts import CueSource
from aios_core.diffusion.random import RowRandom
from aios_core.errors import InferenceError
from aios_core.scaffold.examples.tokenizer import Utf8
from aios_core.testing.contracts.base import Contract, expect
from aios_core.testing.modules import seeded, stir

if TYPE_CHECKING:
    from aios_core.contracts import Conditioner, Cues

DIM, LAYERS = 16, 2
TEXTS = ("the milk is cold", "wine is warm now", "abcabcabcabcabca")


class ConditionerContract(Contract["Conditioner"]):
    """Subclass it and set ``component``: a conditioner's class, or one that is built.

    One that needs a place, as a store, is built with it, for 16 states a position.
    """

    varied: ClassVar = {
        "test_seed_decides": {},
        "test_rows_have_cues_of_their_own": {},
        "test_the_end_of_a_row_tells_nothing": {},
        "test_unknown_options_are_refused": {},
    }

    @classmethod
    def try_out(cls, plugin: Conditioner) -> None:
        """It has a module and a source, or cues of nobody."""
        module, source = _module(plugin), _source(plugin)
        for cues in (
            source.for_training(_ids(), _random(len(TEXTS))),
            source.for_evaluation(_ids()),
            source.for_sampling(_ids().tolist(), {}),
        ):
            if module is None:
                assert cues is None, "there are cues, and no module to read them"
            elif cues is not None:
                expect(_heard(module, cues), Tensor, "the injection")

    def test_seed_decides(self, instance: Conditioner) -> None:
        """The generator is the only source of what is drawn for a training."""
        module, source = _module(instance), _source(instance)
        first, again = (source.for_training(_ids(), _random(len(TEXTS))) for _ in range(2))
        if module is not None and first is not None:
            assert torch.equal(_heard(module, first), _heard(module, again)), "two sets of cues"

    def test_some_rows_are_left_without(self, instance: Conditioner) -> None:
        """In training, or guidance had nothing to lead away from; their states stay to the bit."""
        module, source = _module(instance), _source(instance)
        if module is None:
            pytest.skip("this conditioner has no module, which is allowed")
        ids = _ids()[:1].expand(300, -1)
        cues = source.for_training(ids, _random(300))
        assert cues is not None, "no row of a training batch has a cue"
        states = _states(300)
        changed = (_heard(module, cues, 300) != states).flatten(1).any(-1)
        assert changed.any(), "no row of 300 has a cue"
        assert not changed.all(), "each row of 300 has a cue; expected some without"

    def test_rows_have_cues_of_their_own(self, instance: Conditioner) -> None:
        """Some of the rows, in another order, are answered as they were."""
        module, source = _module(instance), _source(instance)
        cues = source.for_evaluation(_ids())
        if module is None or cues is None:
            return
        rows = np.array([2, 0, 0], np.int64)
        together, apart = _heard(module, cues), _heard(module, cues.taken(rows))
        torch.testing.assert_close(
            together[torch.from_numpy(rows)], apart, msg="a row has the cue of another"
        )

    def test_the_end_of_a_row_tells_nothing(self, instance: Conditioner) -> None:
        """Held-out rows are known by their first halves, as no prompt knows the other."""
        module, source = _module(instance), _source(instance)
        other = _ids().clone()
        other[:, 8:] = other[:, 8:].flip(0, 1)
        cue, two = (source.for_evaluation(ids) for ids in (_ids(), other))
        if module is not None and cue is not None:
            assert torch.equal(_heard(module, cue), _heard(module, two)), "the second half tells"

    def test_unknown_options_are_refused(self, instance: Conditioner) -> None:
        """Or a misspelled one would be ignored."""
        with pytest.raises(InferenceError, match="no-such"):
            _source(instance).for_sampling(_ids().tolist(), {"no-such": 1})

    def test_a_fingerprint_is_of_what_there_is(self, instance: Conditioner) -> None:
        """Opened twice it is the same, and so is the maker's, which alone is taken."""
        cue, two = _source(instance), _source(instance)
        assert isinstance(cue.fingerprint(), str)
        assert (cue.fingerprint(), cue.maker) == (two.fingerprint(), two.maker)
        assert isinstance(_source(instance, maker=cue.maker), CueSource)


def _module(plugin: Conditioner) -> Any:
    module = seeded(lambda: plugin.build(DIM, LAYERS) or nn.Module())
    return stir(module) if hasattr(module, "context") else None


def _source(plugin: Conditioner, **options: Any) -> CueSource:
    tokenizer: Any = Utf8()
    source = plugin.open(resolve({}).config, tokenizer.train([]), **options)
    return expect(source, CueSource, "open")


def _ids() -> Tensor:
    return torch.tensor([list(text.encode()) for text in TEXTS])


def _states(rows: int) -> Tensor:
    drawn = torch.randn(1, 3, DIM, generator=torch.Generator().manual_seed(5))
    return drawn.expand(rows, -1, -1)


@torch.no_grad()
def _heard(module: Any, cues: Cues | None, rows: int = len(TEXTS)) -> Tensor:
    """The same states in every row, after all layers."""
    assert cues is not None
    inject = module.context(cues)
    h = _states(rows)
    for layer in range(LAYERS):
        h = inject(h, layer)
    return h


def _random(rows: int) -> RowRandom:
    return RowRandom.numbered(0, range(rows), _ids().shape[1])
