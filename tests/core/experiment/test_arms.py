"""An ablation stands for the network of its best arm, or of the arm that is named."""

import json

import pytest
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.errors import ConfigError, DataError
from aios_core.experiment.arms import network
from aios_core.experiment.plan import make_plan
from aios_core.training import checkpoint


def test_it_is_the_best_arm_by_what_the_report_leads_with(finished):
    plan, _, results = finished
    result = network(plan.folder)
    best, _ = results.best(results.headline)

    assert (best.label, results.headline, 0) == (result.arm, result.metric, result.seed)
    assert f"the best arm by {result.metric}, {best.label!r}, seed 0" == str(result)
    assert (
        best.settings["noise.type"]
        == checkpoint.load(result.folder).resolved.values["noise"]["type"]
    )


def test_an_arm_is_named_by_a_part_of_its_label(finished):
    plan, _, results = finished
    label = next(arm.label for arm in results.arms if "cosine" in arm.label and "2" in arm.label)
    result = network(plan.folder, label)

    assert (label, None) == (result.arm, result.metric)
    assert ("sampler.steps=2",) == result.overrides
    assert "cosine" == checkpoint.load(result.folder).resolved.values["noise"]["type"]


def test_its_twin_is_the_one_that_judged_it(finished):
    plan, _, _ = finished

    assert "ar" == checkpoint.load(network(plan.folder).twin).model.mode


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cosine", "2 arms hold 'cosine'; expected one of"),
        ("x", "no arm 'x'; e"),
        ("", "no arm ''; expected one of"),
    ],
)
def test_a_name_that_is_not_of_one_arm_lists_those_that_are(finished, name, words):
    with pytest.raises(DataError, match=words):
        network(finished[0].folder, name)


def aios(*words, code=0):
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert code == done.exit_code, done.output
    return done


def test_a_command_takes_the_best_arm_and_says_so(finished):
    """A command given an ablation uses the network of its best arm."""
    folder = finished[0].folder
    done = aios("sample", folder, "--json")

    assert f"{folder} is an ablation: {network(folder)}; --arm NAME takes another" in done.stderr
    assert [0] == [row["number"] for row in json.loads(done.stdout)]


def test_the_twin_of_an_arm_writes_as_that_of_a_run(finished):
    done = aios("sample", finished[0].folder, "--mode", "ar", "--arm", "cosine · steps 2")

    assert "is an ablation: arm, 'cosine · steps 2', seed 0\n" in done.stderr


def test_an_arm_of_a_run_is_a_usage_error(finished):
    """Fault T8: an option that does not hold for what it is given is refused."""
    done = aios("sample", network(finished[0].folder).folder, "--arm", "cosine", code=2)

    assert "--arm is of an ablation" in done.output


def test_an_ablation_never_writes_into_the_folder_of_a_run(finished, tmp_path, write_config):
    """Fault E8: an [ablate] file that inherits `name` is refused where a run lies."""
    run = network(finished[0].folder).folder

    with pytest.raises(ConfigError, match="holds a run, which an ablation must not be mixed with"):
        make_plan(write_config(tmp_path), run)


def test_a_run_never_writes_into_the_folder_of_an_ablation(finished, tmp_path, write_config):
    """Fault E8: nor the other way round."""
    done = aios("run", write_config(tmp_path, ""), "--output", finished[0].folder, code=2)

    assert "holds an ablation, which a run must not be mixed with; expected another --output" in (
        done.output
    )
