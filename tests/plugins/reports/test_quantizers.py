"""An ablation over quantizers: a line of config, one training, and quality against bits."""

from aios_core.experiment.plan import make_plan
from aios_plugins.reports.html import Html

GRID = """
[ablate]
"quantizer.type" = ["none", "rtn"]
"""


def test_quantizers_share_a_training_and_are_told_by_bits(tmp_path, run_plan, write_config):
    plan = make_plan(write_config(tmp_path, GRID), tmp_path / "out")
    _, results = run_plan(plan)
    report = Html().write(results).read_text(encoding="utf-8")

    assert 2 == len({model.training_key for model in plan.models.values()}), "one, and the twin"
    values = {trial.settings["quantizer.type"]: trial.values for trial in results.trials}
    assert 32 == values["none"]["bits_per_weight"]
    assert 10 < values["rtn"]["bits_per_weight"] < 25  # the tied embedding stays as it is
    assert values["none"]["nelbo"] != values["rtn"]["nelbo"]
    assert "nelbo against bits a weight. none: " in report
    twins = [model for model in results.models.values() if model["twin"]]
    assert [32.0] == [twin["result"]["metrics"]["bits_per_weight"]["value"] for twin in twins]
