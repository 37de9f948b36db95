"""Skill cards: carried from run to run, and refused where they do not belong."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from aios_core.errors import EvolutionError
from aios_core.evolution.digest import model_digest
from aios_core.evolution.head import at_head
from aios_core.evolution.journal import Journal
from aios_core.evolution.loop import evolve
from aios_core.evolution.rollback import faults, rollback
from aios_core.evolution.skills import hand_out, like, revoke, take_in


@pytest.fixture
def card(found, settings):
    return evolve(found, settings("evolution.steps=30"))[-1].card


@pytest.fixture
def carried(run, card, tmp_path):
    hand_out(Journal.of(run), card.skill_id, tmp_path / "carried")
    return tmp_path / "carried"


def peft(folder, **config):
    folder.mkdir()
    key = "base_model.model.backbone.blocks.0.attention.out"
    tensors = {f"{key}.lora_A.weight": torch.ones(2, 32), f"{key}.lora_B.weight": torch.ones(32, 2)}
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["out"]} | config
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_a_card_goes_round_and_comes_back_the_same(found, run, card, carried):
    head = model_digest(at_head(found))
    rollback(found)
    shutil.rmtree(Journal.of(run).version(card.skill_id))
    again = take_in(found, carried)

    assert card == again
    assert Journal.of(run).head is None, "taking in is not using"
    assert head == rollback(found, card.skill_id[:9]).sha256


def test_an_adapter_of_peft_becomes_a_skill(found, run, tmp_path):
    card = take_in(found, peft(tmp_path / "My adapter"))
    rollback(found, card.skill_id)

    assert ("my-adapter", "l2-lora") == (card.name, card.level)
    assert card.result_sha256 == model_digest(at_head(found))
    assert [] == faults(found)


def test_what_is_for_another_model_is_refused(found, tmp_path, carried):
    with pytest.raises(EvolutionError, match="of an autoregressive model"):
        take_in(found, peft(tmp_path / "ar", task_type="CAUSAL_LM"))
    with pytest.raises(EvolutionError, match="is for the base 'gpt2'"):
        take_in(found, peft(tmp_path / "gpt", base_model_name_or_path="gpt2"))
    for change, told in (
        ({"mode": "ar"}, "of mode 'ar'"),
        ({"tokenizer_sha256": "x"}, "another tokenizer"),
        ({"level": "no-such"}, "is changed"),
        ({"base_sha256": "0" * 64}, "is changed"),
        ({"vocab_size": "x"}, "is no skill card"),
    ):
        path = carried / "skill.json"
        text = path.read_text()
        path.write_text(json.dumps(json.loads(text) | change))
        with pytest.raises(EvolutionError, match=told):
            take_in(found, carried)
        path.write_text(text)


@pytest.mark.parametrize("name", ["adapter_model.bin", "x.pt", "deep/er/y.pickle", "run.py"])
def test_what_could_run_code_is_refused(found, carried, name):
    (carried / name).parent.mkdir(parents=True, exist_ok=True)
    (carried / name).write_bytes(b"\x80\x04.")

    with pytest.raises(EvolutionError, match="could run code"):
        take_in(found, carried)


def test_what_leads_out_of_its_folder_is_refused(found, carried, tmp_path):
    (tmp_path / "elsewhere.json").write_text("{}")
    (carried / "adapter_config.json").unlink()
    (carried / "adapter_config.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(EvolutionError, match="is a link"):
        take_in(found, carried)


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json", "skill.json"])
def test_a_file_that_is_damaged_or_missing_is_told(found, carried, file):
    data = (carried / file).read_bytes()
    for damaged in (data[: len(data) // 2], b"", b"\xff" * 100, b"[]"):
        (carried / file).write_bytes(damaged)
        with pytest.raises(EvolutionError):
            take_in(found, carried)
    (carried / file).unlink()
    if file != "skill.json":  # without it the folder is an adapter of PEFT
        with pytest.raises(EvolutionError):
            take_in(found, carried)


def test_a_revoked_skill_is_never_applied(found, run, card):
    journal, base = Journal.of(run), model_digest(found.model)

    assert revoke(journal, card.skill_id, reason="not ours") is None
    assert base == model_digest(at_head(found))
    with pytest.raises(EvolutionError, match="was revoked"):
        rollback(found, card.skill_id)
    assert [] == faults(found)
    assert journal.head is None


def test_cards_are_found_by_context(found, run, tmp_path, settings):
    names = ("sonnets of shakespeare", "tables of numbers", "letters to a friend")
    for number, name in enumerate(names):
        take_in(found, peft(tmp_path / f"{number}", lora_alpha=number + 1), name=name)
    cards = Journal.of(run).versions()
    best, *_ = like(cards, "a friend wrote letters", settings().config.embedding)

    assert "letters-to-a-friend" == best[0].name
    assert 3 == len(cards)
