"""Skill cards: carried from run to run, and refused where they do not belong."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import save_file

from aios_core.contracts import store_schema
from aios_core.errors import EvolutionError, InferenceError, StorageError
from aios_core.inference import ArrowEngine
from aios_core.memory import Place, open_store
from aios_core.training.digest import model_digest
from aios_plugins.evolution import skills
from aios_plugins.evolution.head import at, at_head
from aios_plugins.evolution.journal import Journal
from aios_plugins.evolution.loop import evolve
from aios_plugins.evolution.rollback import faults, rollback
from aios_plugins.evolution.skill_index import find_skills
from aios_plugins.evolution.skills import hand_out, merge, revoke, take_in
from aios_plugins.levels.unfreeze import Unfreeze


@pytest.fixture
def card(loaded, settings):
    return evolve(loaded, settings("evolution.steps=30"))[-1].card


@pytest.fixture
def carried(run, card, tmp_path):
    hand_out(Journal.of(run), card.skill_id, tmp_path / "carried")
    return tmp_path / "carried"


def peft(folder, sign=1, **config):
    folder.mkdir()
    key = "base_model.model.backbone.blocks.0.attention.out"
    tensors = {f"{key}.lora_A.weight": torch.ones(2, 32)}
    tensors[f"{key}.lora_B.weight"] = sign * torch.ones(32, 2)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["attention.out"],
    } | config
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_a_card_goes_round_and_comes_back_the_same(loaded, run, card, carried):
    head = model_digest(at_head(loaded))
    rollback(loaded)
    shutil.rmtree(Journal.of(run).version(card.skill_id))
    again = take_in(loaded, carried)

    assert card == again
    assert Journal.of(run).head is None, "taking in is not using"
    assert head == rollback(loaded, card.skill_id[:9]).sha256


def test_an_adapter_of_peft_becomes_a_skill(loaded, run, tmp_path):
    card = take_in(loaded, peft(tmp_path / "My adapter"))
    rollback(loaded, card.skill_id)

    assert ("my-adapter", "l2-lora") == (card.name, card.level)
    assert card.result_sha256 == model_digest(at_head(loaded))
    assert [] == faults(loaded)


def test_what_is_for_another_model_is_refused(loaded, tmp_path, carried):
    with pytest.raises(EvolutionError, match="of an autoregressive model"):
        take_in(loaded, peft(tmp_path / "ar", task_type="CAUSAL_LM"))
    with pytest.raises(EvolutionError, match="is for the base 'gpt2'"):
        take_in(loaded, peft(tmp_path / "gpt", base_model_name_or_path="gpt2"))
    for change, message in (
        ({"mode": "ar"}, "of mode 'ar'"),
        ({"tokenizer_sha256": "x"}, "another tokenizer"),
        ({"level": "no-such"}, "is changed"),
        ({"base_sha256": "0" * 64}, "is changed"),
        ({"vocab_size": "x"}, "is not a skill card"),
    ):
        path = carried / "skill.json"
        text = path.read_text()
        path.write_text(json.dumps(json.loads(text) | change))
        with pytest.raises(EvolutionError, match=message):
            take_in(loaded, carried)
        path.write_text(text)


@pytest.mark.parametrize("name", ["adapter_model.bin", "x.pt", "deep/er/y.pickle", "run.py"])
def test_what_could_run_code_is_refused(loaded, carried, name):
    (carried / name).parent.mkdir(parents=True, exist_ok=True)
    (carried / name).write_bytes(b"\x80\x04.")

    with pytest.raises(EvolutionError, match="could run code"):
        take_in(loaded, carried)


def test_what_leads_out_of_its_folder_is_refused(loaded, carried, tmp_path):
    (tmp_path / "elsewhere.json").write_text("{}")
    (carried / "adapter_config.json").unlink()
    (carried / "adapter_config.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(EvolutionError, match="is a link"):
        take_in(loaded, carried)


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json", "skill.json"])
def test_a_file_that_is_damaged_or_missing_is_told(loaded, carried, file):
    data = (carried / file).read_bytes()
    for damaged in (data[: len(data) // 2], b"", b"\xff" * 100, b"[]"):
        (carried / file).write_bytes(damaged)
        with pytest.raises(EvolutionError):
            take_in(loaded, carried)
    (carried / file).unlink()
    if file != "skill.json":  # without it the folder is an adapter of PEFT
        with pytest.raises(EvolutionError):
            take_in(loaded, carried)


def test_a_revoked_skill_is_never_applied(loaded, run, card):
    journal, base = Journal.of(run), model_digest(loaded.model)

    assert revoke(journal, card.skill_id, reason="not ours") is None
    assert base == model_digest(at_head(loaded))
    with pytest.raises(EvolutionError, match="was revoked"):
        rollback(loaded, card.skill_id)
    assert [] == faults(loaded)
    assert journal.head is None


@pytest.mark.parametrize("step", ["replace_text", "move"])
def test_a_revocation_that_was_cut_is_seen_and_done_again(loaded, run, card, monkeypatch, step):
    """Whatever instant it ended at: the skill is refused, or `faults` says what to do."""
    journal = Journal.of(run)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*{"replace_text": (skills, step), "move": (Journal, step)}[step], killed)
        with pytest.raises(KeyboardInterrupt):
            revoke(journal, card.skill_id)

    assert re.search("revoke it again|was revoked", "\n".join(faults(loaded)))
    assert revoke(journal, card.skill_id) is None
    assert [] == faults(loaded)


def test_cards_are_found_by_context(loaded, run, tmp_path, settings):
    journal, resolved = Journal.of(run), settings()
    assert [] == find_skills(journal, resolved, "anything")
    names = ("sonnets of shakespeare", "tables of numbers", "letters to a friend")
    cards = [
        take_in(loaded, peft(tmp_path / f"{number}", lora_alpha=number + 1), name=name)
        for number, name in enumerate(names)
    ]
    (best, near), *others = find_skills(journal, resolved, "a friend wrote letters")

    assert "letters-to-a-friend" == best.name
    assert 2 == len(others)
    assert all(near > score for _, score in others)
    with open_store(Place(resolved.config.storage, str(journal.folder / "index"))) as store:
        assert {card.skill_id for card in cards} == {
            value["id"] for batch in store.to_batches(columns=["id"]) for value in batch.to_pylist()
        }


def test_a_context_is_a_query_and_cards_are_documents(loaded, run, tmp_path, settings, monkeypatch):
    """An embedding may have a side for each."""
    take_in(loaded, peft(tmp_path / "a"), name="apples")
    provider, sides = type(settings().config.embedding), {}
    embed = provider.embed

    def recorded(self, texts, *, side="document"):
        sides.update(dict.fromkeys(texts, side))
        return embed(self, texts, side=side)

    monkeypatch.setattr(provider, "embed", recorded)
    find_skills(Journal.of(run), settings(), "what grows on trees")

    (card,) = (text for text in sides if text.startswith("apples"))
    assert {"what grows on trees": "query", card: "document"} == sides


def test_a_store_of_something_else_is_no_store_of_skills(loaded, run, tmp_path, settings):
    """Fault V19: nothing in it is deleted for not being a skill, and its vectors are not mixed."""
    take_in(loaded, peft(tmp_path / "a"), name="apples")
    place = Place(settings().config.storage, str(tmp_path / "notes"))
    with open_store(place, schema=store_schema(384)) as store:
        store.add([{"id": "mine", "text": "a note", "vector": [1.0] * 384}])
    with pytest.raises(StorageError, match="expected a store of skills"):
        find_skills(Journal.of(run), settings(), "fruit", place=place)
    with open_store(place, read=True) as store:
        assert 1 == store.count()

    own = Place(settings().config.storage, str(tmp_path / "own"))
    schema = store_schema(384, {"name": "string", "level": "string"})
    open_store(own, schema=schema).close()
    with pytest.raises(StorageError, match="does not say which embedding"):
        find_skills(Journal.of(run), settings(), "fruit", place=own)


def test_the_store_follows_the_journal(loaded, run, tmp_path, settings):
    """What is revoked is found no more, what comes later is; a store that is gone is no loss."""
    journal, resolved = Journal.of(run), settings()
    first = take_in(loaded, peft(tmp_path / "a"), name="apples")
    find_skills(journal, resolved, "fruit")
    second = take_in(loaded, peft(tmp_path / "b", lora_alpha=8), name="pears")
    both = {card.skill_id for card, _ in find_skills(journal, resolved, "fruit")}
    revoke(journal, first.skill_id)
    left = [card.skill_id for card, _ in find_skills(journal, resolved, "apples")]
    shutil.rmtree(journal.folder / "index")

    assert {first.skill_id, second.skill_id} == both
    assert [second.skill_id] == left
    assert left == [card.skill_id for card, _ in find_skills(journal, resolved, "apples")]
    assert [] == faults(loaded)


def test_skills_merge_by_weight(loaded, run, tmp_path):
    """One skill of two says what the weighted sum of both says, and each weight alone that one."""
    cards = [
        take_in(loaded, peft(tmp_path / name, sign=sign, lora_alpha=alpha), name=name)
        for name, sign, alpha in (("one", 1, 4), ("two", -1, 6))
    ]
    ids = [card.skill_id for card in cards]
    merged = merge(loaded, {ids[0]: 0.75, ids[1]: 0.5}, name="Both")
    alone = merge(loaded, {ids[0]: 1.0, ids[1]: 0.0}, name="alone")
    journal, x = Journal.of(run), torch.arange(16)[None]

    def answer(skill_id):
        return at(loaded, journal, skill_id)(x, torch.ones(1).double())

    # Both change one layer by the same matrix, times 2 and -3: 0.75 * 2 - 0.5 * 3 = 0.
    torch.testing.assert_close(answer(None), answer(merged.skill_id), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(answer(ids[0]), answer(alone.skill_id), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(answer(ids[1]), answer(alone.skill_id), atol=1e-2)
    assert ("both", None) == (merged.name, journal.head)
    assert alone.skill_id == rollback(loaded, alone.skill_id).after
    assert [] == faults(loaded)


def test_what_does_not_belong_together_is_not_merged(loaded, run, card, tmp_path):
    other = take_in(loaded, peft(tmp_path / "other"))
    again = evolve(loaded, loaded.resolved)[-1].card
    with pytest.raises(EvolutionError, match="learned on one parent"):
        merge(loaded, {other.skill_id: 1.0, again.skill_id: 1.0}, name="both")
    revoke(Journal.of(run), other.skill_id)
    with pytest.raises(EvolutionError, match="was revoked"):
        merge(loaded, {other.skill_id: 1.0}, name="both")
    with pytest.raises(EvolutionError, match="l3-unfreeze cannot merge"):
        Unfreeze().merge([])


def test_an_engine_changes_skills_and_reads_no_weight_again(run, card, loaded):
    engine = ArrowEngine.load(run, twin=False)
    x, t = torch.arange(16)[None], torch.ones(1).double()
    tensor = engine.models["diffusion"].model.head.embedding.weight

    def answer():
        return engine.models["diffusion"].model(x, t)

    learned = answer()
    engine.use("base")
    base = answer()
    engine.use(card.skill_id[:8])

    assert torch.equal(loaded.model(x, t), base)
    assert not torch.equal(base, learned)
    assert torch.equal(learned, answer())
    assert tensor is engine.models["diffusion"].model.head.embedding.weight
    rollback(loaded)
    engine.use()
    assert torch.equal(base, answer())
    with pytest.raises(EvolutionError, match="no version begins"):
        engine.use("abc")
    with pytest.raises(InferenceError, match="loaded from its folder"):
        ArrowEngine(engine.models).use("base")


def test_a_version_that_holds_another_is_not_applied(loaded, run, tmp_path):
    """Fault T5: each is sound, but not the one that HEAD or a child of it names."""
    journal = Journal.of(run)
    first, other = (
        take_in(loaded, peft(tmp_path / name, lora_alpha=alpha), name=name)
        for name, alpha in (("one", 4), ("two", 8))
    )
    rollback(loaded, first.skill_id)
    shutil.rmtree(journal.version(first.skill_id))
    shutil.copytree(journal.version(other.skill_id), journal.version(first.skill_id))

    with pytest.raises(EvolutionError, match="is not the version that it is named for"):
        at_head(loaded)
    with pytest.raises(EvolutionError, match="is not the version that it is named for"):
        at(loaded, journal, first.skill_id)
    with pytest.raises(EvolutionError, match="is not the version"):
        rollback(loaded, first.skill_id)
    assert faults(loaded)
    assert other.skill_id == rollback(loaded, other.skill_id).after


def test_weights_that_are_there_keep_their_name(loaded, run, tmp_path):
    """Imported or merged again under another name, the card is that which stays."""
    first = take_in(loaded, peft(tmp_path / "a"), name="first")
    merged = merge(loaded, {first.skill_id: 0.5}, name="half")

    assert first == take_in(loaded, tmp_path / "a", name="second")
    assert merged == merge(loaded, {first.skill_id: 0.5}, name="other")
    assert {"first", "half"} == {card.name for card in Journal.of(run).versions()}


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_refused(loaded, run, tmp_path, name):
    first = take_in(loaded, peft(tmp_path / "a"))
    for make in (
        lambda: take_in(loaded, peft(tmp_path / "b", sign=-1), name=name),
        lambda: merge(loaded, {first.skill_id: 0.5}, name=name),
    ):
        with pytest.raises(EvolutionError, match=f"expected a name for the skill, got {name!r}"):
            make()

    assert [first.skill_id] == Journal.of(run).ids()


def test_an_adapter_without_some_of_its_tensors_is_refused(loaded, run, tmp_path):
    """Of the layers that it says it has; an expression, and blocks left out, are PEFT's."""
    part = {"target_modules": ["attention.out", "qkv"]}
    message = r"no tensors for 'backbone.blocks.0.attention.qkv'.* missing for 1 of 2 layers"
    with pytest.raises(EvolutionError, match=message):
        take_in(loaded, peft(tmp_path / "part", **part))
    with pytest.raises(EvolutionError, match=message):
        take_in(loaded, peft(tmp_path / "block", layers_to_transform=[0], **part))

    assert [] == Journal.of(run).ids()
    take_in(loaded, peft(tmp_path / "without", exclude_modules=["qkv"], **part))
    take_in(loaded, peft(tmp_path / "expression", target_modules=".*(out|qkv)"))
