"""A round of evolution: what stays, what does not, and what it is refused for."""

import json
import math
import random
import string
from types import SimpleNamespace

import pytest
import torch
from attrs import evolve as evolved

from aios_core.config import resolve
from aios_core.contracts import Windows
from aios_core.diffusion.model import Model
from aios_core.errors import DataError, EvolutionError
from aios_core.inference import ArrowEngine
from aios_core.training.digest import model_digest
from aios_core.training.fitting import score
from aios_plugins.evolution import proposal
from aios_plugins.evolution.gate import Change, Verdict, judge
from aios_plugins.evolution.head import at_head
from aios_plugins.evolution.journal import Journal
from aios_plugins.evolution.loop import evolve
from aios_plugins.evolution.proposal import evidence_uncertainty
from aios_plugins.evolution.rollback import faults, rollback
from aios_plugins.evolution.skills import delete, revoke
from aios_plugins.evolution.splits import split


def test_what_improves_is_kept_and_can_be_taken_back(loaded, run, settings):
    base = model_digest(loaded.model)
    (attempt,) = evolve(loaded, settings())
    journal = Journal.of(run)
    card = attempt.card

    config, tip = settings().config, at_head(loaded)
    splits = split(config, loaded.tokenizer)
    gate, report = (
        judge(loaded.model, tip, held, config.evolution, seed=config.seed + more).plain()
        for held, more in ((splits.gate, 1), (splits.report, 2))
    )

    assert attempt.accepted, attempt.reason
    assert (gate, report) == (card.scores, card.report), "each on draws of its own"
    assert loaded.model.num_parameters() == card.parameters_total
    assert card.skill_id == journal.head
    assert card.scores["target"]["high"] < 0
    assert base == model_digest(loaded.model) == card.base_sha256
    assert card.result_sha256 == model_digest(at_head(loaded)) != base
    assert [] == faults(loaded)
    assert base == rollback(loaded).sha256
    assert journal.head is None
    assert card.result_sha256 == rollback(loaded, card.skill_id[:8]).sha256
    assert ["attempt", "rollback", "rollback"] == [e["event"] for e in journal.entries()]


def test_an_engine_writes_with_what_was_kept_unless_told_otherwise(loaded, run, settings):
    evolve(loaded, settings())
    with_skills, without = ArrowEngine.load(run), ArrowEngine.load(run, evolved=False)
    x, t = torch.full((1, 16), 65), torch.ones(1).double()
    model = with_skills.models["diffusion"].model

    assert Journal.of(run).head is not None
    assert not torch.equal(model(x, t), loaded.model(x, t))
    assert torch.equal(without.models["diffusion"].model(x, t), loaded.model(x, t))
    assert 1 == len(with_skills.diffuse("", max_new_tokens=8, num_inference_steps=2).texts)


def test_skills_are_learned_on_one_another(loaded, settings):
    first = evolve(loaded, settings())[-1].card
    second = evolve(loaded, settings("seed=1"))[-1]

    if second.accepted:
        assert first.skill_id == second.card.parent
    assert [] == faults(loaded)


def test_a_budget_is_a_share_of_the_model(loaded, settings, monkeypatch):
    """What touches as much may, and one parameter more may not."""
    level = settings().config.levels[0]
    splits = split(settings().config, loaded.tokenizer)
    total = loaded.model.num_parameters()
    monkeypatch.setattr(proposal, "judge", lambda *_, **__: None)

    def tried(count):
        class Touches(type(level)):
            def adapt(self, model, experience, budget):
                assert (budget.steps, budget.share) == (1, 0.25)
                return evolved(super().adapt(model, experience, budget), parameters=count)

        config = settings("evolution.steps=1", "evolution.share=0.25").config
        return proposal.propose(Touches(rank=1), loaded.model, splits, config)

    assert total // 4 == tried(total // 4).adaptation.parameters
    with pytest.raises(EvolutionError, match=r"l2-lora touches 25\.0\d% .* budget is 25\.00%"):
        tried(total // 4 + 1)


def test_head_goes_back_one_version_at_a_time(loaded, run, settings, monkeypatch):
    """To what it was learned on; revoking takes it before what it builds on, and no further."""
    good = Change(1.0, 0.5, -0.5, -0.6, -0.4, 0.05)
    monkeypatch.setattr(proposal, "judge", lambda *_, **__: Verdict(True, "so", good, good, 0.01))
    rounds = [evolve(loaded, settings(f"seed={n}", "evolution.steps=1")) for n in range(3)]
    cards, journal = [attempts[-1].card for attempts in rounds], Journal.of(run)
    first, second, third = ids = [card.skill_id for card in cards]

    assert [None, first, second] == [card.parent for card in cards]
    assert ids == [card.skill_id for card, _ in journal.chain(third)]
    assert ids == [card.skill_id for card in journal.versions()]
    assert (third, third) == (journal.named("HEAD"), journal.named(third[:12]))
    back = rollback(loaded)
    assert (third, second) == (back.before, back.after)
    assert back.sha256 == cards[1].result_sha256 == model_digest(at_head(loaded))
    with pytest.raises(EvolutionError, match="3 versions"):
        journal.named("l2-lora")
    assert second == revoke(journal, third) == journal.head
    assert [] == faults(loaded)
    assert first == revoke(journal, second) == journal.head
    assert revoke(journal, first) is journal.head is None
    with pytest.raises(EvolutionError, match="was revoked"):
        rollback(loaded, second)
    with pytest.raises(EvolutionError, match=f"build on it: {second[:12]}; delete"):
        delete(journal, first)
    delete(journal, third)
    delete(journal, second)
    assert [first] == journal.ids()
    assert [] == faults(loaded)


def test_a_model_is_unsure_of_what_it_does_not_know(loaded, trained, tmp_path):
    drawn = random.Random(0).choices(string.ascii_uppercase, k=6000)
    (tmp_path / "letters.txt").write_text("".join(drawn))
    own, other = (
        evidence_uncertainty(
            loaded.model,
            split(resolve(loaded.state.values | evidence).config, loaded.tokenizer),
            loaded.resolved.registry,
        )
        for path in (trained / "up.txt", tmp_path / "letters.txt")
        for evidence in ({"evidence": [{"type": "file", "path": str(path)}]},)
    )

    assert abs(own) < 1 < other


def test_doubt_is_in_deviations_of_what_is_known(monkeypatch):
    """Of the first windows of each; those of the model's own texts are the measure."""
    ids = torch.arange(200)[:, None]
    splits = SimpleNamespace(
        fitting=SimpleNamespace(target=Windows(ids + 1000, ids >= 0), seed=7),
        gate=SimpleNamespace(base=Windows(ids[:3], ids[:3] >= 0)),
    )

    def unsure(_, windows, seed, registry):
        assert (7, "registry") == (seed, registry)
        if len(windows) == 3:
            return torch.tensor([1.0, 2.0, 3.0])
        assert list(range(1000, 1064)) == windows.ids[:, 0].tolist()
        return torch.tensor([0.0, 8.0])

    monkeypatch.setattr(proposal, "_unsure", unsure)
    assert pytest.approx(2) == evidence_uncertainty(None, splits, "registry")


@pytest.mark.parametrize("change", [{"mode": "ar"}, {"diffusion": {"length": 16, "block_size": 4}}])
def test_doubt_is_told_too_where_no_token_can_be_hidden(loaded, settings, change):
    splits = split(settings().config, loaded.tokenizer)
    config = resolve(loaded.state.values | change).config
    model = Model.build(config, loaded.tokenizer.vocabulary).eval()

    # It has learned nothing, so to it all texts are alike.
    assert abs(evidence_uncertainty(model, splits, loaded.resolved.registry)) < 3


def test_uncertainty_chooses_the_level_and_failures_escalate(loaded, run):
    """Begun where the size of the uncertainty says, with the reason at every step."""
    levels = [{"type": name} for name in ("l1-control", "l2-lora", "l3-unfreeze")]
    values = loaded.state.values | {"levels": levels}
    words = ("policy.type=uncertainty", "policy.thresholds=[0.0, 1000.0]")
    strict = resolve(values, overrides=(*words, "evolution.epsilon=50", "evolution.steps=2"))
    first, second = evolve(loaded, strict)

    assert ("l2-lora", "l3-unfreeze") == (first.level, second.level)
    assert "the model is unsure of the evidence: +" in first.why
    assert f"l2-lora failed: {first.reason}" == second.why
    assert [first.why, second.why] == [entry["why"] for entry in Journal.of(run).entries()]


def test_a_level_that_failed_is_not_tried_again_on_the_same_evidence(loaded, run, settings):
    strict = settings("evolution.epsilon=50")
    (attempt,) = evolve(loaded, strict)

    assert not attempt.accepted, attempt.reason
    assert "expected less than -50" in attempt.reason
    assert [] == evolve(loaded, strict)
    assert 1 == len(evolve(loaded, settings("evolution.epsilon=50", "seed=1")))
    assert Journal.of(run).head is None
    assert not list((run / "evolution").glob("versions/*"))


def test_gatings_on_one_split_are_counted(loaded, run, settings):
    for seed in range(3):
        evolve(loaded, settings("evolution.epsilon=50", "evolution.steps=1", f"seed={seed}"))
    alphas = [entry["verdict"]["alpha"] for entry in Journal.of(run).entries()]
    agreed = 1 - settings().config.evolution.confidence

    assert pytest.approx([agreed * 6 / (math.pi * k) ** 2 for k in (1, 2, 3)]) == alphas


def test_what_decided_nothing_is_not_counted(loaded, run, settings, tmp_path):
    """Neither a level that failed before the gate, nor gatings of other texts."""
    levels = [{"type": name} for name in ("full", "l3-unfreeze", "l2-lora")]
    values = loaded.state.values | {"levels": levels}
    words = ["evolution.epsilon=50", "evolution.steps=1"]
    evolve(loaded, resolve(values, overrides=words))
    verdicts = [entry["verdict"] for entry in Journal.of(run).entries()]
    (tmp_path / "other.txt").write_text(NOISE)
    other = {"evidence": [{"type": "file", "path": str(tmp_path / "other.txt")}]}
    evolve(loaded, resolve(loaded.state.values | other, overrides=words))
    first = verdicts[1]["alpha"]

    assert verdicts[0] is None, "over its budget"
    assert pytest.approx([first / 4, first]) == [
        verdicts[2]["alpha"],
        Journal.of(run).entries()[-1]["verdict"]["alpha"],
    ]


DOWN = "".join(f"{n} {n - 1} but " for n in range(998, 99, -1))
NOISE = "".join(random.Random(0).choices(string.printable[:94], k=20_000))


@pytest.mark.parametrize(
    "poison",
    [
        (NOISE + DOWN[:2200], 0.25, 0.005, "the target changes by"),
        (NOISE, 0.0, 0.1, "the base changes by"),
    ],
    ids=["noise to learn, text to pass", "noise alone, and no replay"],
)
def test_poison_is_rejected(loaded, settings, tmp_path, poison):
    """What was learned from noise helps with no text, and drives out what was known."""
    texts, replay, rate, reason = poison
    (tmp_path / "poison.txt").write_text(texts)
    poisoned = settings(
        f'evidence=[{{type="file", path="{tmp_path}/poison.txt"}}]',
        f'levels=[{{type="l2-lora", replay={replay}, rank=3, learning_rate={rate}}}]',
        "evolution.steps=150",
        "evolution.base_tolerance=0.1",
    )
    (attempt,) = evolve(loaded, poisoned)

    assert not attempt.accepted, attempt.reason
    assert attempt.reason.startswith(reason), attempt.reason
    assert Journal.of(loaded.run_folder).head is None


def test_evidence_that_is_none_is_refused(loaded, run, settings, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "short.txt").write_text("a few words")
    (tmp_path / "same.txt").write_text("the same sixteen " * 2000)

    def refused(name, match):
        evidence = f'evidence=[{{type="file", path="{tmp_path}/{name}"}}]'
        with pytest.raises((EvolutionError, DataError), match=match):
            evolve(loaded, settings(evidence))

    with pytest.raises(EvolutionError, match="there is no evidence"):
        evolve(loaded, settings("evidence=[]"))
    refused("empty.txt", "expected two rows or characters at least, .*, got 1 rows of 0 char")
    refused("short.txt", "expected 32 held-out windows")
    refused("same.txt", "could not tell learning from remembering")
    assert Journal.of(run).head is None
    assert [] == Journal.of(run).entries()


def test_two_evolutions_at_once_are_refused(loaded, run, settings):
    with (
        Journal.of(run).locked(),
        pytest.raises(EvolutionError, match="another evolution of this run is at work"),
    ):
        evolve(loaded, settings())


def test_what_was_changed_is_found(loaded, run, settings):
    card = evolve(loaded, settings())[-1].card
    folder = run / "evolution" / "versions" / card.skill_id
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 1e-3}))

    (fault,) = faults(loaded)
    assert "is changed" in fault
    with pytest.raises(EvolutionError, match="is changed"):
        at_head(loaded)


def test_a_version_of_another_base_is_refused(loaded, run, settings):
    evolve(loaded, settings())
    with torch.no_grad():
        next(loaded.model.parameters()).add_(1e-3)

    with pytest.raises(EvolutionError, match="was made for the base"):
        at_head(loaded)


@pytest.mark.slow
def test_twenty_rounds_never_end_worse_than_they_began(loaded, run, settings):
    """On texts that decided nothing; every version since can be gone back to."""
    overrides = ("evolution.steps=15", "evolution.draws=2", "evolution.base_tolerance=0.1")
    kept = 0
    for seed in range(20):
        kept += any(each.accepted for each in evolve(loaded, settings(f"seed={seed}", *overrides)))
    report = split(settings().config, loaded.tokenizer).report.target
    before, after = (
        score(m, report, draws=4, seed=9).sum() for m in (loaded.model, at_head(loaded))
    )

    assert kept == len(Journal.of(run).versions()) > 0
    assert after < before
    assert [] == faults(loaded)


def test_a_model_that_comes_out_otherwise_is_found(loaded, run, settings, monkeypatch):
    """As after a change of the code that applies adaptations: the digest is of what comes out."""
    from aios_plugins.evolution import rollback as module

    (attempt,) = evolve(loaded, settings())
    right = module.at

    def perturbed(start, journal, tip, **words):
        model = right(start, journal, tip, **words)
        if tip is None:
            return model
        model = model.fork()
        model.head.norm.weight = torch.nn.Parameter(model.head.norm.weight * 1.0001)
        return model

    monkeypatch.setattr(module, "at", perturbed)
    assert attempt.accepted
    assert "gives a model with the digest" in faults(loaded)[0]
    head = Journal.of(run).head
    with pytest.raises(EvolutionError, match="gives a model with the digest"):
        rollback(loaded, attempt.card.skill_id)
    assert head == Journal.of(run).head
    assert 1 == len(Journal.of(run).entries())
