"""Whatever a user asks for, in whatever order: the journal stays sound."""

import json
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from aios_core.contracts import Adaptation
from aios_core.errors import AIOSError, EvolutionError
from aios_core.training import checkpoint
from aios_plugins.evolution.journal import Journal
from aios_plugins.evolution.loop import evolve
from aios_plugins.evolution.rollback import faults, rollback
from aios_plugins.evolution.skills import delete, hand_out, merge, revoke, take_in

LAYER = "base_model.model.backbone.blocks.0.attention.out"
FLOATS = st.sampled_from([1.0, 0.5, -2.0, 0.0, 1e30, 1e308, float("nan"), float("-inf")])
WHICH = st.integers(0, 5)
COMMANDS = st.one_of(
    st.tuples(st.just("import"), FLOATS, FLOATS),
    st.tuples(st.just("merge"), st.dictionaries(WHICH, FLOATS, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(["use", "revoke", "delete", "carry"]), WHICH),
    st.tuples(st.sampled_from(["back", "evolve"])),
)


def adapter(folder, value=1.0, alpha=4.0):
    folder.mkdir()
    tensors = {
        f"{LAYER}.lora_A.weight": torch.ones(2, 32),
        f"{LAYER}.lora_B.weight": torch.full((32, 2), value, dtype=torch.float64).float(),
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": alpha, "target_modules": ["attention.out"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def carry_out(command, loaded, folder):
    """One command, on versions by their place in the list of all."""
    journal = Journal.of(loaded.folder.parent.parent)
    what, *words = command

    def named(number):
        known = journal.ids()
        return known[number % len(known)] if known else "0" * 64

    if what == "import":
        take_in(loaded, adapter(folder, *words))
    elif what == "merge":
        merge(loaded, {named(number): weight for number, weight in words[0].items()}, name="m")
    elif what == "use":
        rollback(loaded, named(words[0]), event="use")
    elif what == "revoke":
        revoke(journal, named(words[0]))
    elif what == "delete":
        delete(journal, named(words[0]))
    elif what == "carry":
        hand_out(journal, named(words[0]), folder)
        take_in(loaded, folder)
    elif what == "back":
        rollback(loaded)
    else:
        evolve(loaded, loaded.resolved)


@pytest.fixture(scope="module")
def clean(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands") / "run"
    shutil.copytree(trained / "run", folder)
    return folder


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(commands=st.lists(COMMANDS, min_size=1, max_size=8))
def test_no_sequence_of_commands_damages_the_journal(clean, tmp_path_factory, commands):
    """Fault T5: whether each is taken or refused, `aios evolve verify` finds nothing afterwards."""
    folder, loaded = tmp_path_factory.mktemp("sequence"), checkpoint.load(clean)
    shutil.rmtree(Journal.of(clean).folder, ignore_errors=True)
    for number, command in enumerate(commands):
        try:
            carry_out(command, loaded, folder / str(number))
        except AIOSError:
            continue
        finally:
            assert [] == faults(loaded), commands[: number + 1]


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 1e308])
def test_a_merge_that_could_not_be_read_is_refused(loaded, run, tmp_path, weight):
    """Fault T5: a weight, or what it makes of the tensors, that is not finite is never kept."""
    skill = take_in(loaded, adapter(tmp_path / "a")).skill_id
    with pytest.raises(EvolutionError, match="finite"):
        merge(loaded, {skill: weight}, name="x")

    assert [skill] == Journal.of(run).ids()
    assert [] == faults(loaded)


def test_a_skill_is_deleted_once_nothing_builds_on_it(loaded, run, tmp_path, settings):
    """Fault T5: even one that is damaged; what builds on it is named."""
    journal = Journal.of(run)
    skill = take_in(loaded, adapter(tmp_path / "a")).skill_id
    rollback(loaded, skill, event="use")
    with pytest.raises(EvolutionError, match="HEAD names it"):
        delete(journal, skill)
    above = evolve(loaded, settings("evolution.base_tolerance=1000"))[-1].card
    if above.skill_id in journal.ids():
        with pytest.raises(EvolutionError, match=f"build on it: {above.skill_id[:12]}"):
            delete(journal, skill)
        rollback(loaded, "base")
        delete(journal, above.skill_id)
    rollback(loaded, "base")
    (journal.version(skill) / "skill.json").write_text("{")
    delete(journal, skill)

    assert [] == journal.ids()
    assert [] == faults(loaded)
    assert skill == take_in(loaded, tmp_path / "a").skill_id, "it may come back"
    shutil.rmtree(journal.version(skill))
    (fault,) = faults(loaded)
    assert "is missing, and the journal kept it" in fault


def test_what_was_revoked_does_not_come_back(loaded, run, settings):
    """Fault T5: learned again, bit for bit, it would be a HEAD that no command can apply."""
    (first,) = evolve(loaded, settings())
    revoke(Journal.of(run), first.card.skill_id)
    (second,) = evolve(loaded, settings())

    assert first.accepted
    assert not second.accepted
    assert "again, which was revoked" in second.reason
    assert Journal.of(run).head is None
    assert [] == faults(loaded)


def test_what_cannot_be_read_again_is_not_kept(loaded, run, tmp_path):
    """Fault T5: numbers that JSON has not, and keys that it changes, in what a level made."""
    import attrs

    from aios_plugins.evolution.card import identified, read

    card = take_in(loaded, adapter(tmp_path / "a"))
    _, good = read(Journal.of(run).version(card.skill_id))
    for change in ({"scale": float("nan")}, {2: "b", 10: "a"}):
        wrong = Adaptation(good.config | change, good.tensors, good.parameters)
        if 2 in change:
            wrong = attrs.evolve(wrong, config=change)
        with pytest.raises(EvolutionError):
            Journal.of(run).keep(identified(card, wrong), wrong)

    assert [card.skill_id] == Journal.of(run).ids()
