"""What the journal and the cards say about an evolution, and who may be believed."""

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import save_file

from aios_core.errors import EvolutionError
from aios_core.experiment.evaluate import Subject
from aios_core.training.digest import model_digest
from aios_core.training.measured import own_corpus
from aios_plugins.evolution import proposal
from aios_plugins.evolution.card import data_digest
from aios_plugins.evolution.gate import Change, Verdict
from aios_plugins.evolution.head import at_head
from aios_plugins.evolution.journal import Journal
from aios_plugins.evolution.loop import evolve
from aios_plugins.evolution.rollback import faults, rollback
from aios_plugins.evolution.skills import hand_out, merge, revoke, take_in
from aios_plugins.evolution.splits import Material, split

GOOD = Change(1.0, 0.5, -0.5, -0.6, -0.4, 0.05)
BAD = Change(1.0, 1.5, 0.5, 0.4, math.inf, 0.05)


@pytest.fixture
def skill(loaded, tmp_path):
    """A function that makes skills which add a matrix of so much to one layer."""

    def made(size, *, on="out"):
        folder = tmp_path / f"skill {size}"
        folder.mkdir()
        key = f"base_model.model.backbone.blocks.0.attention.{on}"
        tensors = {f"{key}.lora_A.weight": torch.full((1, 32), size)}
        tensors[f"{key}.lora_B.weight"] = torch.ones(32, 1)
        save_file(tensors, folder / "adapter_model.safetensors")
        config = {
            "peft_type": "LORA",
            "r": 1,
            "lora_alpha": 1,
            "target_modules": [f"attention.{on}"],
        }
        (folder / "adapter_config.json").write_text(json.dumps(config))
        return take_in(loaded, folder)

    return made


def judged(monkeypatch, *, accepted):
    def judge(*_, seed, **__):
        if seed == 5 + 2:
            return Verdict(False, "report", BAD, GOOD, 0.05)
        return Verdict(accepted, "so", GOOD, BAD, 0.01)

    monkeypatch.setattr(proposal, "judge", judge)


@pytest.mark.parametrize("accepted", [True, False])
def test_an_attempt_is_told_with_all_that_it_was(loaded, run, settings, monkeypatch, accepted):
    """Who judges it later needs the texts, the seed, the model and both verdicts."""
    judged(monkeypatch, accepted=accepted)
    resolved = settings("seed=5", "evolution.steps=1")
    (attempt,) = evolve(loaded, resolved)
    (entry,) = Journal.of(run).entries()
    splits, card = (
        split(resolved.config, loaded.tokenizer, Material.of(resolved.config, own_corpus(loaded))),
        attempt.card,
    )
    vocabulary, base = loaded.tokenizer.vocabulary, model_digest(loaded.model)
    known = {"head": None, "data": splits.fingerprint, "seed": 5}
    gate, report = card.scores, card.report

    assert (
        known
        | {
            "event": "attempt",
            "key": data_digest(known),
            "gate": splits.gate.fingerprint,
            "base_sha256": base,
            "level": "l2-lora",
            "why": "it is the first of the ladder",
            "accepted": accepted,
            "reason": "so",
            "skill_id": card.skill_id,
            "parameters": card.parameters,
            "parameters_total": loaded.model.num_parameters(),
            "seconds": card.seconds,
            "verdict": gate,
            "report": report,
            "previous": "",
            "time": entry["time"],
        }
        == entry
    )
    assert (-0.5, None, 0.01) == (gate["target"]["delta"], gate["base"]["high"], gate["alpha"])
    assert (0.5, -0.4, False) == (
        report["target"]["delta"],
        report["base"]["high"],
        report["accepted"],
    )
    assert (vocabulary.mask_id, vocabulary.size) == (card.mask_token_id, card.vocab_size)
    assert (loaded.tokenizer.fingerprint, "diffusion") == (card.tokenizer_sha256, card.mode)
    assert (None, splits.fingerprint, 5) == (card.parent, card.data, card.seed)
    assert (accepted, accepted) == (
        Journal.of(run).head == card.skill_id,
        bool(card.skill_id in Journal.of(run).ids()),
    )


def test_what_failed_is_tried_again_from_another_head(loaded, settings, skill, monkeypatch):
    judged(monkeypatch, accepted=False)
    resolved = settings("seed=5", "evolution.steps=1")

    assert 1 == len(evolve(loaded, resolved))
    assert [] == evolve(loaded, resolved)
    rollback(loaded, skill(0.01).skill_id)
    assert 1 == len(evolve(loaded, resolved))
    rollback(loaded, "base")
    assert [] == evolve(loaded, resolved)


def test_what_is_measured_has_the_skills_that_were_kept(loaded, run, settings, skill):
    """Unless the network as it was trained is asked for; HEAD is named beside the numbers."""
    base, learned = model_digest(loaded.model), skill(0.01)
    rollback(loaded, learned.skill_id)
    plain = Subject.load(run, settings(), evolved=False)
    for subject in (Subject.load(run, settings()), Subject.of(loaded, settings())):
        assert (learned.skill_id, learned.result_sha256) == (
            subject.head,
            model_digest(subject.model),
        )

    assert (None, base) == (plain.head, model_digest(plain.model))


def test_every_change_of_head_is_told_with_its_reason(loaded, run, skill):
    journal, learned = Journal.of(run), skill(0.01)
    rollback(loaded, learned.skill_id, reason="better", event="use")
    revoke(journal, learned.skill_id, reason="not ours")
    facts = [
        {k: v for k, v in entry.items() if k not in {"time", "previous"}}
        for entry in journal.entries()
    ]

    assert [
        {"event": "import", "to": learned.skill_id, "head": None, "reason": "from skill 0.01"},
        {"event": "use", "to": learned.skill_id, "head": None, "reason": "better"},
        {
            "event": "revoke",
            "to": None,
            "skill_id": learned.skill_id,
            "head": learned.skill_id,
            "reason": "not ours",
        },
    ] == facts


def test_a_revoked_skill_is_merged_into_none_whichever_place_it_has(loaded, run, skill):
    first, second = (skill(size).skill_id for size in (0.01, 0.02))
    revoke(Journal.of(run), second)
    for weights in ({first: 0.5, second: 0.5}, {second: 0.5, first: 0.5}):
        with pytest.raises(EvolutionError, match=r"skill skill-0-02: was revoked"):
            merge(loaded, weights, name="both")


def test_a_head_that_the_journal_never_kept_is_a_fault(loaded, run, skill, tmp_path):
    """A version that someone put beside the journal is sound by itself, and not ours."""
    kept, other = skill(0.01), skill(0.02)
    journal = Journal.of(run)
    rollback(loaded, kept.skill_id)
    assert [] == faults(loaded)
    shutil.copytree(journal.version(other.skill_id), tmp_path / "beside")
    for name in ("journal.jsonl", "last"):
        (journal.folder / name).unlink()
    shutil.rmtree(journal.version(other.skill_id))
    with journal.locked():
        journal.add("import", to=kept.skill_id, head=None, reason="")
    shutil.copytree(tmp_path / "beside", journal.version(other.skill_id))
    journal.move(other.skill_id)

    assert [f"{journal.folder / 'HEAD'}: names a version that the journal never kept"] == faults(
        loaded
    )


def test_a_card_that_promises_another_model_is_refused(loaded, run, skill, tmp_path):
    """Its id is of what it holds; what comes of it is shown as it is taken in."""
    card = skill(0.01)
    hand_out(Journal.of(run), card.skill_id, tmp_path / "out")
    with pytest.raises(EvolutionError, match="is there already"):
        hand_out(Journal.of(run), card.skill_id, tmp_path / "out")
    path = tmp_path / "out" / "skill.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"result_sha256": "0" * 64}))

    with pytest.raises(EvolutionError, match="does not give the model that its card describes"):
        take_in(loaded, tmp_path / "out")
    assert model_digest(loaded.model) == model_digest(at_head(loaded))


def test_names_of_skills_are_letters_digits_and_hyphens(loaded, run, skill, tmp_path):
    hand_out(Journal.of(run), skill(0.01).skill_id, tmp_path / "out")
    names = {
        "Sonnets, of Shakespeare!": "sonnets--of-shakespeare",
        "A" * 80: "a" * 64,
        "--x--": "x",
        "été": "t",
        "日本": "skill",
    }

    for given, kept in names.items():
        shutil.rmtree(Journal.of(run).folder)  # weights that are there keep their name
        assert kept == take_in(loaded, tmp_path / "out", name=given).name
