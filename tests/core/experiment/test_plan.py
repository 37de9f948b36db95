"""What arms are called, what waits for what, and what is read of results."""

import json
import shutil

from aios_core.config import load
from aios_core.experiment.ablate import _in_turn
from aios_core.experiment.plan import ONLY, PlannedModel, is_done, labeller, make_plan, read_result
from aios_core.training.trainer import train


def test_an_arm_is_called_by_what_tells_it_from_others():
    """Names of sections first, then other words, then numbers; what all agree on goes unsaid."""
    arms = [
        {"noise.type": "cosine", "sampler.steps": 8, "sampler.type": "dfm", "seed": 1},
        {"sampler.steps": 16, "sampler.measure": "margin", "sampler.type": "confidence"},
        {"noise.type": "cosine", "sampler.type": "dfm", "sampler.steps": 8, "dataset.name": "x"},
    ]
    arms = [{"backbone.dim": 32, "seed": 0, **arm} for arm in arms]
    label = labeller(arms)

    assert ["cosine · dfm · steps 8", "confidence · margin · steps 16"] == list(
        map(label, arms[:2])
    )
    assert "cosine · dfm · steps 8 · x" == label(arms[2])
    lists = [{"metrics": [1, 2], "training.compile": flag, "name": None} for flag in (True, False)]
    assert ["compile true", "compile false"] == list(map(labeller(lists), lists))
    assert ONLY == labeller(arms[:1])(arms[0])
    seeds = [{"seed": 0}, {"seed": 1}]
    assert [ONLY, ONLY] == list(map(labeller(seeds), seeds))


def test_one_training_is_done_by_one_job_at_a_time():
    keys = {"a": "first", "b": "second", "c": "first", "d": "first", "e": "third"}
    models = {key: PlannedModel(key, training, None) for key, training in keys.items()}

    assert {"c": ["a"], "d": ["c"]} == _in_turn(models)


def test_a_result_counts_only_where_it_is_whole_and_tells_of_success(tmp_path):
    path = tmp_path / "result.json"
    assert ({}, False) == (read_result(path), is_done(path))
    for text, expected, done in (
        ('{"status": "done", "nfe": 3}', {"status": "done", "nfe": 3}, True),
        ('{"status": "failed"}', {"status": "failed"}, False),
        ('{"status": "do', {}, False),
        ("[]", {}, False),
    ):
        path.write_text(text)
        assert (expected, done) == (read_result(path), is_done(path))


def test_networks_are_shared_by_what_samples_alone(tmp_path, write_config):
    """Their measures go by evaluation too; a twin is one for all seeds and quantizers."""
    grid = """
[ablate]
"sampler.steps" = [2, 4]
"sampling.temperature" = [0.5, 1.0]
"evaluation.draws" = [1, 2]
"quantizer.type" = ["none", "arrow"]
seed = [0, 1]
"""
    plan = make_plan(write_config(tmp_path, grid), tmp_path / "out")
    own = {(trial.model.key, trial.model.training_key) for trial in plan.trials}
    twins = {(trial.twin.key, trial.twin.training_key) for trial in plan.trials}

    assert (32, 32) == (len(plan.trials), len({trial.key for trial in plan.trials}))
    assert (8, 2) == (len(own), len({training for _, training in own}))
    assert (2, 1) == (len(twins), len({training for _, training in twins}))
    assert {key for key, _ in twins} == set(list(plan.models)[:2]), "those that judge come first"
    assert 10 == len(plan.models) == len(plan.missing_models())
    for trial in plan.trials:
        assert (trial.settings["seed"], trial.settings["seed"]) == (
            trial.seed, trial.model.resolved.config.seed,
        )  # fmt: skip
        assert trial.settings["evaluation.draws"] == trial.model.resolved.config.evaluation.draws
    base = [trial for trial in plan.trials if trial.baseline]
    assert [(plan.trials[0].arm, 0), (plan.trials[0].arm, 1)] == [(i.arm, i.seed) for i in base]
    result = plan.trial_result(plan.trials[0])
    result.parent.mkdir(parents=True)
    result.write_text(json.dumps({"status": "done"}))
    assert list(plan.trials[1:]) == plan.missing_trials()


def test_measures_are_of_all_texts_that_are_there(tmp_path, write_config):
    """Also where those that are held out alone have changed."""
    grid = '[ablate]\n"sampler.steps" = [2]\nseed = [0]\n'
    plan = make_plan(write_config(tmp_path, grid), tmp_path / "out")
    text = (tmp_path / "corpus.txt").read_text()
    (tmp_path / "corpus.txt").write_text(f"{text[:-5]}zzzz\n")
    other = make_plan(tmp_path / "ablation.toml", tmp_path / "out")

    assert not {trial.key for trial in plan.trials} & {trial.key for trial in other.trials}


def test_arms_begin_with_weights_by_their_content(tmp_path, write_config):
    """One judge for all of them; other weights in the same place make another network."""
    random = make_plan(write_config(tmp_path, "[ablate]\nseed = [0]\n"), tmp_path / "out")
    path = write_config(tmp_path, '[ablate]\n"training.init_from" = ["first", "second"]\n')

    def trained(name, seed):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        resolved = load(path, overrides=["training.steps=2", f"seed={seed}"])
        train(resolved, tmp_path / name, progress=False)

    trained("first", 1)
    trained("second", 2)
    plan = make_plan(path, tmp_path / "out")
    first, second = plan.trials
    assert first.model.training_key != second.model.training_key
    assert {random.trials[0].twin.key} == {first.twin.key, second.twin.key}
    assert plan == make_plan(path, tmp_path / "out")
    trained("second", 3)
    other = make_plan(path, tmp_path / "out").trials
    assert [first.key] == [trial.key for trial in other if trial.key in {first.key, second.key}]
    trained("second", 1)
    assert 1 == len({trial.model.key for trial in make_plan(path, tmp_path / "out").trials})


def test_a_tokenizer_counts_by_the_content_of_its_file(tmp_path, write_config):
    """And wherever it lies, of networks and twins alike."""

    def plan(name):
        over = [f"tokenizer={{type='bpe', file='{tmp_path / name}'}}"]
        path = write_config(tmp_path, "[ablate]\nseed = [0]\n")
        (trial,) = make_plan(path, tmp_path / "out", overrides=over).trials
        return trial.key, trial.model.training_key, trial.twin.training_key

    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("{}")
    before = plan("a.json")
    assert before == plan("b.json")
    (tmp_path / "a.json").write_text("{ }")
    assert not {*before} & {*plan("a.json")}
