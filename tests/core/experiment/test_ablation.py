"""An ablation as one call: it runs what is missing, goes on, and gives what its folder holds."""

import json

import pytest

from aios_core.errors import ConfigError, MissingExtraError, PluginError
from aios_core.experiment import read, run_ablation, write_reports
from aios_core.experiment.plan import make_plan
from aios_core.experiment.reports import reports_of, usable
from aios_core.testing.results import made_up

pytest_plugins = ["aios_core.testing.fixtures"]

GRID = '\n[ablate]\n"sampler.steps" = [1, 2]\n'
BARE = ["evaluation.twin=false", "training.steps=2"]

REPORTS = """
    import aios_core
    from aios_core.contracts import Report
    from aios_core.errors import require_extra
    from attrs import frozen

    AIOS_API = 1

    @frozen
    class Counted(Report):
        "How many trials there are."
        word: str = "trials"

        def write(self, results):
            path = results.folder / "counted.txt"
            path.write_text(f"{len(results.trials)} {self.word}")
            return path

    @frozen
    class Absent(Counted):
        "Needs what nobody has."
        def check(self):
            require_extra("the report 'absent'", "ablate", "a_module_that_nobody_has")

    @frozen
    class Raising(Counted):
        "Is broken."
        def write(self, results):
            raise KeyError("m")

    @aios_core.hookimpl
    def aios_reports():
        return {"counted": Counted, "absent": Absent, "raising": Raising}
"""


def test_a_call_goes_on_where_another_was_interrupted(tmp_path, write_config, capsys):
    config, out = write_config(tmp_path, GRID), tmp_path / "out"

    def interrupt(event):
        if (event.kind, event.what) == ("trial", "done"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_ablation(config, out, overrides=BARE, progress=False, on_event=interrupt)
    assert ["done", "missing"] == sorted(trial.status for trial in read(out).trials)
    first = json.loads((out / "ablation.json").read_text())
    events = []
    results = run_ablation(str(config), str(out), overrides=BARE, on_event=events.append)

    assert ["done", "done"] == [trial.status for trial in results.trials]
    assert [("trial", "started"), ("trial", "done")] == [(e.kind, e.what) for e in events]
    assert "done: steps 2" in capsys.readouterr().err, "lines, where stderr is no terminal"
    about = json.loads((out / "ablation.json").read_text())
    assert first["started"] == about["started"]
    assert first["seconds"] < about["seconds"], "the time of both"
    assert "aios_core.experiment.run_ablation" == about["command"]


def test_a_call_that_has_nothing_to_do_reads(tmp_path, write_config):
    plan = make_plan(write_config(tmp_path, GRID), tmp_path / "out", overrides=BARE)
    before, events = run_ablation(plan, progress=False), []
    after = run_ablation(plan, progress=False, on_event=events.append, command="again")

    assert [] == events
    assert [trial.result for trial in before.trials] == [trial.result for trial in after.trials]
    assert before.about["seconds"] == after.about["seconds"]
    assert "again" == after.about["command"]
    run_ablation(plan, force=True, progress=False, on_event=events.append)
    assert 3 == sum(event.what == "done" for event in events), "a training and two trials"


def test_an_ablation_keeps_which_reports_it_gets(tmp_path, write_config, tmp_plugin):
    tmp_plugin(REPORTS, module="counting")
    table = '[[reports]]\ntype = "counted"\nword = "of them"\n'
    results = run_ablation(
        write_config(tmp_path, table + GRID), tmp_path / "out", overrides=BARE, progress=False
    )

    assert [tmp_path / "out" / "counted.txt"] == [*write_reports(read(results.folder))]
    assert "2 of them" == (tmp_path / "out" / "counted.txt").read_text()
    assert ["Tables"] == [type(report).__name__ for report in reports_of(results, ["tables"])]


def test_an_ablation_that_was_stored_before_there_were_reports_gets_the_defaults(tmp_path):
    results = made_up(tmp_path, {"base": [1.0]})

    assert ["Tables", "Html"] == [type(report).__name__ for report in reports_of(results)]
    with pytest.raises(ConfigError, match=r"no report is called 'tabels'.*'tables'"):
        reports_of(results, ["tabels"])


def test_reports_that_cannot_be_written_are_told_from_those_that_fail(tmp_path, tmp_plugin):
    tmp_plugin(REPORTS, module="counting")
    results = made_up(tmp_path, {"base": [1.0]})
    reports = reports_of(results, ["counted", "absent", "raising"])

    able, (missing,) = usable(reports)

    assert (reports[0], reports[2]) == able
    assert isinstance(missing, MissingExtraError)
    assert "a_module_that_nobody_has" in str(missing)
    with pytest.raises(PluginError, match=r"report raising of counting .*: write raised Key"):
        write_reports(results, able)
    assert (tmp_path / "counted.txt").is_file(), "that of the one before"
