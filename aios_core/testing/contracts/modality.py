"""What every modality must do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch

from aios_core.contracts import Codec, Continuous, Modality, Shown, Space, Vocabulary
from aios_core.diffusion.joint import Joint
from aios_core.diffusion.joint_loss import Segments, joint_losses, mean_loss
from aios_core.diffusion.random import RowRandom
from aios_core.errors import AIOSError, DataError, ModelLoadError
from aios_core.registry import Registry
from aios_core.testing.contracts.base import Contract, expect
from aios_core.testing.modules import seeded

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ITEMS = 6


class ModalityContract(Contract["Modality"]):
    """Subclass it and set ``component``: a modality's class, or one that is built."""

    varied: ClassVar = {
        "test_states_are_of_the_space_and_the_grid": {},
        "test_equal_items_have_equal_codecs": {},
    }

    error: ClassVar[float | None] = None
    """Largest difference of a state and that of what it decodes to, in deviations; None: whatever
    the codec loses, encoding what was decoded is stable."""

    @classmethod
    def try_out(cls, plugin: Modality) -> None:
        """What it fits is a codec of the class that it names."""
        codec = plugin.fit(_items(plugin))
        assert isinstance(codec, Codec), "fit gives no Codec"
        assert type(codec) is plugin.codec, (
            f"fit gives a {type(codec).__name__}, and codec says {plugin.codec.__name__}; expected "
            "one class"
        )
        assert isinstance(codec.space, Space), "space is no Space"

    def test_states_are_of_the_space_and_the_grid(self, instance: Modality) -> None:
        """(L,) int32 tokens below the vocabulary's size, none a mask, or finite (L, C) float32."""
        codec = fitted(instance)
        for item in _items(instance):
            state = codec.encode(item)
            _check(state, codec)
            if isinstance(codec.space, Vocabulary):
                assert codec.space.mask_id not in state

    def test_numbers_have_about_unit_variance(self, instance: Modality) -> None:
        """A network sees all modalities at one scale."""
        codec = fitted(instance)
        if isinstance(codec.space, Continuous):
            whole = np.stack([codec.encode(item) for item in _items(instance)])
            assert abs(float(whole.mean())) < 0.1
            assert 0.5 < float(whole.std()) < 2

    def test_what_is_decoded_encodes_as_before(self, instance: Modality) -> None:
        """To `error` where a suite says one, and to the last token where states are tokens."""
        codec = fitted(instance)
        for item in _items(instance):
            state: NDArray[Any] = codec.encode(item)
            again: NDArray[Any] = codec.encode(codec.decode(state))
            if isinstance(codec.space, Vocabulary):
                assert np.array_equal(state, again)
            elif self.error is not None:
                assert float(np.abs(state - again).mean()) <= self.error

    def test_whatever_a_network_says_is_decoded(self, instance: Modality) -> None:
        """Any state of the space is an item that can be shown, and encoded unless it is empty."""
        codec, random = fitted(instance), np.random.default_rng(0)
        for number in range(4):
            state = _anything(codec, random, scale=10.0**number)
            item = codec.decode(state)
            shown = expect(codec.show(item), Shown, "show")
            assert isinstance(shown.data, bytes)

    def test_equal_items_have_equal_codecs(self, instance: Modality) -> None:
        """And what it was fitted to decides its fingerprint."""
        first, again = fitted(instance), fitted(instance)
        assert first == again
        assert first.fingerprint == again.fingerprint
        other = instance.fit([instance.example(number) for number in range(1, 3)])
        assert (first == other) == (first.fingerprint == other.fingerprint)

    def test_what_is_read_back_is_what_was_kept(self, instance: Modality, tmp_path: Path) -> None:
        """To the bit; a folder of something else is refused."""
        codec = fitted(instance)
        codec.save(tmp_path)
        back = type(codec).load(tmp_path)
        assert codec.fingerprint == back.fingerprint
        for item in _items(instance):
            assert codec.encode(item).tobytes() == back.encode(item).tobytes()
        for file in tmp_path.iterdir():
            file.write_bytes(b'{"codec": "another"}')
        with pytest.raises(ModelLoadError):
            type(codec).load(tmp_path)
        with pytest.raises(ModelLoadError):
            type(codec).load(tmp_path / "nothing")

    def test_what_is_no_item_is_refused(self, instance: Modality) -> None:
        """With a DataError, and never with another error: rows come from files of others."""
        codec = fitted(instance)
        for item in (None, b"\0\1", 3.5, object(), np.full((2, 3), np.nan), [], {}):
            try:
                state = codec.encode(item)
            except DataError:
                continue
            _check(state, codec)
        with pytest.raises(AIOSError):
            instance.fit([])

    def test_it_learns_in_a_network_of_several(self, instance: Modality) -> None:
        """Every parameter of its head gets a gradient, and the trunk has most of the network."""
        codec = fitted(instance)
        backbone = Registry.discover().get("backbone", "transformer").load()
        trunk = backbone(dim=64, layers=3, heads=4, time_conditioned=True)
        model = seeded(lambda: Joint(trunk, {instance.name: (instance, codec)}))
        rows = np.stack([codec.encode(item) for item in _items(instance)])
        clean = torch.from_numpy(rows.astype(np.int64) if rows.dtype.kind in "iu" else rows)
        count = len(clean)
        segments = Segments(
            {instance.name: clean},
            {instance.name: torch.ones(clean.shape[:2], dtype=torch.bool)},
            {instance.name: torch.ones(count, dtype=torch.bool)},
        )
        times = torch.linspace(0.2, 0.9, count, dtype=torch.float64)[:, None]
        losses = joint_losses(
            model.train(),
            {instance.name: instance.objective},
            segments,
            {instance.name: times},
            {instance.name: RowRandom(list(range(count)), codec.length)},
        )
        loss = mean_loss(model.part(instance.name), losses[instance.name])
        assert loss.isfinite()
        (loss * instance.weight).backward()
        grads = [p.grad for p in model.part(instance.name).head.parameters()]
        assert any(grad is not None and bool(grad.abs().sum() > 0) for grad in grads)
        assert all(grad is None or bool(grad.isfinite().all()) for grad in grads)


def fitted(modality: Modality) -> Codec:
    """A codec for a few items."""
    return modality.fit(_items(modality))


def _items(modality: Modality) -> list[Any]:
    return [modality.example(number) for number in range(_ITEMS)]


def _check(state: NDArray[Any], codec: Codec) -> None:
    space = codec.space
    if isinstance(space, Continuous):
        assert (codec.length, space.channels) == state.shape
        assert state.dtype == np.float32
        assert np.isfinite(state).all()
    else:
        assert isinstance(space, Vocabulary)
        assert (codec.length,) == state.shape
        assert state.dtype == np.int32
        assert 0 <= state.min() <= state.max() < space.size


def _anything(codec: Codec, random: np.random.Generator, scale: float) -> NDArray[Any]:
    """A state that a network may say: tokens but the mask, or numbers of any size."""
    space = codec.space
    if isinstance(space, Continuous):
        made = random.normal(size=(codec.length, space.channels)) * scale
        return made.astype(np.float32)
    assert isinstance(space, Vocabulary)
    ids = random.integers(0, space.size, codec.length)
    return np.where(ids == space.mask_id, space.eos_id, ids).astype(np.int32)
