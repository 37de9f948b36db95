"""Killed at any instant: what is there afterwards is whole, and no litter stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aios_core.contracts import Adaptation
from aios_core.files import replace_text
from aios_core.testing.killing import every_instant
from aios_core.training import checkpoint
from aios_plugins.evolution.card import Card, identified, read
from aios_plugins.evolution.journal import Journal
from aios_plugins.evolution.skills import hand_out
from aios_plugins.tensor_formats.parquet.layout import index_path
from aios_plugins.tensor_formats.parquet.loader import WeightLoader
from aios_plugins.tensor_formats.parquet.writer import WeightWriter


def litter(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))


def parts(value: float) -> dict:
    tensors = {"a": torch.full((3,), value), "b": torch.tensor(value)}
    return {"weights": tensors, "ema": tensors, "optimizer": {"a.step": torch.tensor(value)}}


def state(step: int) -> checkpoint.State:
    return checkpoint.State(step=step, values={}, training_key="k", tokenizer="t", data="d")


def test_a_checkpoint(tmp_path):
    """Fault N7: the newest is whole, be it the old one or the new one."""
    checkpoint.save(tmp_path, state(1), parts(1.0))
    for number in every_instant(lambda: checkpoint.save(tmp_path, state(2), parts(2.0)), 15):
        result = checkpoint.latest(tmp_path)
        assert [] == checkpoint.faults(result), number
    checkpoint.save(tmp_path, state(3), parts(3.0))

    assert [] == litter(tmp_path)


def test_a_skill(tmp_path):
    """Fault N7: a version and a card that is handed out are whole, or not there."""
    adaptation = Adaptation({"kind": "none"}, {"x": torch.ones(3)}, 3)
    facts = {"base_sha256": "0" * 64, "result_sha256": "1" * 64, "tokenizer_sha256": "2" * 64}
    card = identified(card_of(**facts), adaptation)
    journal, out = Journal.of(tmp_path), tmp_path / "out"

    def work() -> None:
        with journal.locked():
            journal.keep(card, adaptation)
            journal.add("import", to=card.skill_id, head=None, reason="")
            journal.move(card.skill_id)
        if not out.exists():
            hand_out(journal, card.skill_id, out)

    for number in every_instant(work, 20):
        for folder in (journal.version(card.skill_id), out):
            assert not folder.exists() or read(folder)[0].skill_id == card.skill_id, number
        assert journal.head in (None, card.skill_id)
        journal.entries()
    work()
    replace_text(out.with_name("note"), "whoever writes into a folder again clears it")

    assert [] == litter(tmp_path)


def card_of(**facts: str) -> Card:
    return Card(
        name="s",
        level="l2-lora",
        mode="diffusion",
        mask_token_id=1,
        vocab_size=2,
        parameters=3,
        parameters_total=4,
        **facts,
    )


def write(path: Path, value: float, shards: int) -> None:
    if not shards:
        return
    with WeightWriter(path, max_shard=64 if shards > 1 else 1 << 30) as file:
        for name in "abc"[:shards]:
            file.add(name, torch.full((64,), value))


def values(path: Path) -> set[float] | None:
    """Every number of a weight file; None where there is none."""
    if not path.exists() and not index_path(path).exists():
        return None
    loader = WeightLoader.open(path)
    return {number for name in loader for number in loader[name].tolist()}


@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 1), (3, 1), (1, 3), (2, 3), (3, 3)])
def test_weights(tmp_path, before, after):
    """Fault N7: one file or several, where there was nothing, one file, or several."""
    path = tmp_path / "model.parquet"
    write(path, 1.0, before)
    for number in every_instant(lambda: write(path, 2.0, after), 5):
        none = before == 0
        assert values(path) in [{1.0}, {2.0}, *([None] if none else [])], number
        write(tmp_path / "other.parquet", 0.0, 1)
        assert [] == litter(tmp_path)
        for old in tmp_path.iterdir():
            old.unlink()
        write(path, 1.0, before)
