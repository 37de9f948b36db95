"""Steps that are only begun, as on CUDA: nothing in them waits, and a bad one does no harm."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aios_core.diffusion.model import Model
from aios_core.errors import TrainingError
from aios_core.training.data import prepare
from aios_core.training.learner import Learner

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]
WAITING = {
    "_local_scalar_dense",
    "bincount",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "unique2",
}
"""Operators whose answer, or its shape, the host must know before it goes on."""


class Waits(TorchDispatchMode):
    """Those operators upon what lies on the device; on the CPU that is what was put there."""

    def __init__(self, model):
        super().__init__()
        self.names, self._kept, self._placed = [], [], set()
        for tensor in (*model.parameters(), *model.buffers()):
            self.place(tensor)

    def place(self, tensor):
        self._kept.append(storage := tensor.untyped_storage())  # so that no other is put there
        self._placed.add(storage.data_ptr())

    def on_device(self, tensor):
        return tensor.is_cuda or tensor.untyped_storage().data_ptr() in self._placed

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if any(map(self.on_device, tensors((args, kwargs)))):
            name = func.overloadpacket.__name__
            flags = [i for i in (args[1:2] if name.startswith("index") else ()) if i is not None]
            chosen = any(i.dtype == torch.bool and self.on_device(i) for i in tensors(flags))
            if name in WAITING or chosen:
                self.names.append(name)
            for tensor in tensors(out):
                self.place(tensor)
        return out


def tensors(values):
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


@pytest.fixture
def learner(tiny):
    """A function that makes a learner which works as on CUDA."""

    def learner(device, *overrides):
        resolved = tiny(f"training.device={device}", *overrides)
        own = Learner(resolved.config, prepare(resolved))
        own._ahead = True
        getattr(own._stepper, "_rest", own._stepper).fused = True  # Muon has an AdamW beside it
        return own

    return learner


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("mode=ar",),
        ("corruption.type=uniform", "backbone.time_conditioned=true"),
        ("objective.type=exact-count", "training.accumulate=2"),
        ("diffusion.block_size=8",),
        ("optimizer.type=muon", "lr_schedule.type=wsd"),
    ],
    ids=" ".join,
)
def test_no_step_waits_for_the_device(learner, monkeypatch, device, overrides):
    own = learner(device, *overrides)
    own.step(0)  # what is made once may wait
    waits, place = Waits(own.model), Model.place

    def placed(model, tensor):
        tensor = place(model, tensor)
        if not tensor.is_cuda:  # a copy, as it would be on a card
            waits.place(tensor := tensor.clone())
        return tensor

    monkeypatch.setattr(Model, "place", placed)
    with waits:
        done = own.step(1)

    assert [] == waits.names
    with waits:
        done.check()
    assert ["_local_scalar_dense"] * 2 == waits.names, "what waits is seen"


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_that_is_not_finite_changes_no_weight(learner, device):
    """It is reported when it is asked for, maybe steps later; until then nothing is learnt."""
    own = learner(device)
    own.step(0)
    with torch.no_grad():
        own.model.head.embedding.weight[ord("b")] = 3e38
    before = {
        part: {name: tensor.clone() for name, tensor in kept.items()}
        for part, kept in own.parts().items()
        if part != "ema"
    }
    bad = own.step(1)

    for part, kept in before.items():
        for name, tensor in kept.items():
            assert tensor.equal(own.parts()[part][name]), f"{part}: {name}"
    with pytest.raises(TrainingError, match=r"step 2: the loss is (nan|inf)"):
        bad.check()
