"""Ablations: what is shared, what is stored, what is not done twice, and what a failure harms."""

import json
import re

import attrs
import pyarrow.parquet as pq
import pytest

from aios_core.errors import ConfigError
from aios_core.experiment import ablate, write_reports
from aios_core.experiment.ablate import forget
from aios_core.experiment.plan import make_plan
from aios_core.experiment.results import read
from aios_plugins.reports.html.page import render
from aios_plugins.reports.tables import markdown


def test_trials_that_differ_in_sampling_share_a_training(finished):
    plan, events, _ = finished
    trained = [event for event in events if event.kind == "model" and event.what == "done"]

    assert 8 == len(plan.trials)
    assert 4 + 1 == len(trained) == len(plan.models)  # two schedules, two seeds, and the twin
    assert 5 == len(list((plan.folder / "models").iterdir()))
    assert 8 == len(list((plan.folder / "trials").glob("*/result.json")))


def test_a_second_run_does_nothing(finished, run_plan):
    plan, *_ = finished
    before = {path: path.stat().st_mtime_ns for path in plan.folder.rglob("*.json")}

    again = make_plan(plan.folder.parent / "ablation.toml", plan.folder)
    events, _ = run_plan(again)

    assert [] == events
    about = plan.folder / "ablation.json"
    del before[about]
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_every_trial_can_be_repeated_from_its_lock(finished):
    plan, *_ = finished

    for trial in plan.trials:
        assert plan.trial_result(trial).with_name("run.lock.toml").exists()
    for model in plan.models.values():
        assert (plan.model_folder(model) / "run.lock.toml").exists()


def test_only_what_is_new_runs(finished, tmp_path, run_plan):
    plan, *_ = finished
    more = plan.folder.parent / "more.toml"
    more.write_text(
        (plan.folder.parent / "ablation.toml").read_text().replace("[2, 4]", "[2, 4, 8]")
    )

    events, _ = run_plan(attrs.evolve(make_plan(more, plan.folder)))

    done = [event for event in events if event.what == "done"]
    assert {"trial"} == {event.kind for event in done}
    assert 4 == len(done)
    run_plan(plan)  # the folder describes the first grid again


def test_forget_removes_what_force_runs_again(tmp_path, run_plan, write_config):
    plan = make_plan(write_config(tmp_path, "[ablate]\nseed = [0]\n"), tmp_path / "out")
    run_plan(plan)

    forget(plan)

    assert plan.missing_trials()
    assert [] == list((tmp_path / "out" / "models").iterdir())


def test_results_say_all_sample_metrics_together_with_the_dtype(finished):
    plan, *_ = finished
    for trial in plan.trials:
        result = json.loads(plan.trial_result(trial).read_text())
        assert {"twin_nll", "entropy", "distinct_2", "distinct_3"} == set(result["metrics"])
        assert set(result["metrics"]) == set(result["reference"])
        assert "float64" == result["dtype"]


def test_a_seed_decides_each_text_whatever_else_is_sampled(tmp_path, run_plan, write_config):
    grid = (
        '[ablate]\n"sampling.batch_size" = [1, 4]\n"sampling.num_samples" = [3, 5]\nseed = [0, 1]\n'
    )
    plan = make_plan(write_config(tmp_path, grid), tmp_path / "out")

    _, results = run_plan(plan)

    texts = {seed: [] for seed in (0, 1)}
    for trial in results.trials:
        texts[trial.seed].append(trial.result["texts"][:3])
    assert all(results == [results[0]] * 4 for results in texts.values())
    assert texts[0][0] != texts[1][0]
    assert 2 + 1 == len(plan.models)


def test_a_change_of_the_text_is_another_trial(tmp_path, write_config):
    config = write_config(tmp_path)
    before = make_plan(config, tmp_path / "out")
    (tmp_path / "corpus.txt").write_text("Another text altogether. " * 100)

    after = make_plan(config, tmp_path / "out")

    assert not {trial.key for trial in before.trials} & {trial.key for trial in after.trials}
    assert not set(before.models) & set(after.models)


BROKEN = """
    import aios_core
    from aios_core.contracts import StepSampler
    from attrs import frozen

    AIOS_API = 1

    @frozen
    class Broken(StepSampler):
        "Raises at its first step."
        exact = "never"

        def step(self, x, t, s, log_probs, context):
            raise RuntimeError("no <b>luck</b> today")

    @aios_core.hookimpl
    def aios_samplers():
        return {"broken": Broken}
"""


def test_a_failing_trial_stays_in_the_table_and_fails_nobody_else(
    tmp_path, tmp_plugin, run_plan, write_config
):
    tmp_plugin(BROKEN, module="broken_sampler")
    grid = '[ablate]\n"sampler.type" = ["ancestral", "broken"]\nseed = [0]\n'
    plan = make_plan(write_config(tmp_path, grid), tmp_path / "out")

    events, results = run_plan(plan)
    write_reports(results)

    good, bad = results.trials
    assert ("done", "failed") == (good.status, bad.status)
    culprit = "sampler broken of broken-sampler 1.0: denoise raised"
    said = f"{culprit} RuntimeError: no <b>luck</b> today"
    assert bad.result["reason"].splitlines()[0].startswith(said)
    assert 1 == sum(event.what == "failed" for event in events)
    assert f"- broken, seed 0: {said}" in markdown(results)
    assert ["done", "failed"] == pq.read_table(plan.folder / "trials.parquet")["status"].to_pylist()
    page = (plan.folder / "report.html").read_text()
    assert "no &lt;b&gt;luck&lt;/b&gt; today" in page
    assert "no <b>luck" not in page
    assert [bad.key] == [trial.key for trial in plan.missing_trials()]  # it is tried again


def test_a_failing_training_is_the_reason_of_its_trials(tmp_path, run_plan, write_config):
    grid = '[ablate]\n"training.learning_rate" = [1e-3, 1e30]\nseed = [0]\n'
    plan = make_plan(write_config(tmp_path, grid), tmp_path / "out")

    _, results = run_plan(plan)

    good, bad = results.trials
    assert ("done", "failed") == (good.status, bad.status)
    assert re.match(r"training .*failed: .*", bad.result["reason"])


def test_one_seed_says_so(tmp_path, run_plan, write_config):
    grid = '[ablate]\n"sampler.steps" = [1, 2]\n'
    plan = make_plan(write_config(tmp_path, grid), tmp_path / "out")

    _, results = run_plan(plan)

    assert "n = 1" in render(results)
    assert "±" not in markdown(results).split("\n\n")[1]


def test_without_a_twin(tmp_path, run_plan, write_config):
    config = write_config(tmp_path, "[ablate]\nseed = [0, 1]\n")
    plan = make_plan(config, tmp_path / "out", overrides=["evaluation.twin=false"])

    _, results = run_plan(plan)

    assert {"done"} == {trial.status for trial in results.trials}
    assert 2 == len(plan.models)
    assert "twin_nll" not in results.metrics()
    assert "the only arm" in render(results)


def test_report_of_a_folder_that_holds_none(tmp_path):
    from aios_core.errors import DataError

    with pytest.raises(DataError, match=r"holds no ablation\.json"):
        read(tmp_path)


def test_trainings_are_called_by_what_tells_them_apart(tmp_path, write_config):
    """Fault 2.8: eight trainings over two numbers have eight names."""
    grid = '[ablate]\n"training.learning_rate" = [1e-3, 2e-3]\n"training.batch_size" = [2, 4]\n'
    plan = make_plan(write_config(tmp_path, grid + "seed = [0, 1]\n"), tmp_path / "out")
    names = ablate._names(plan, plan.models)

    assert len(plan.models) == len(set(names.values()))
    assert "training learning_rate 0.001 · batch_size 4 · seed 1" in names.values()


def test_arms_of_several_corpora_are_trained_on_each(tmp_path, write_config):
    """By what the texts are and not by their names: equal texts share a training."""
    path = write_config(tmp_path, '[ablate]\n"dataset.path" = ["corpus.txt", "b.txt", "c.txt"]\n')
    text = (tmp_path / "corpus.txt").read_text()
    (tmp_path / "b.txt").write_text(text.replace("milk", "mild"))
    (tmp_path / "c.txt").write_text(text)
    first, other, same = make_plan(path, tmp_path / "out").trials
    results = [(each.key, each.model.key, each.model.training_key) for each in (first, other, same)]

    assert all(a != b for a, b in zip(results[0], results[1], strict=True))
    assert results[0][2] == results[2][2]
    for each in (first, other, same):
        assert each.twin is not None
    assert first.twin.training_key != other.twin.training_key


def test_a_trial_that_suppresses_what_is_no_token_is_refused_untrained(
    tmp_path, write_config, run_plan
):
    """Once the tokenizer is there; the network would be trained first, and in vain."""
    table = '[ablate]\n"sampling.suppress_tokens" = [[1], [300]]\n'
    plan = make_plan(write_config(tmp_path, table), tmp_path / "out")

    with pytest.raises(ConfigError, match=r"sampling\.suppress_tokens: 300 is not a token"):
        run_plan(plan)
    assert not (plan.folder / "models").exists()
