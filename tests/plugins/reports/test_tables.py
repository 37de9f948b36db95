"""The tables of an ablation: a row a trial, a row an arm."""

import csv
import io
import re

import attrs
import pyarrow.parquet as pq
import pytest

from aios_core.cli.ablate import print_results
from aios_core.testing.results import made_up
from aios_plugins.reports.html.page import _facts
from aios_plugins.reports.tables import _column, _csv, _row, markdown


def test_parquet_has_a_row_for_every_trial(finished):
    plan, _, results = finished
    table = pq.read_table(plan.folder / "trials.parquet")
    row = table.to_pylist()[0]

    assert 8 == table.num_rows
    expected = {"noise.type", "sampler.steps", "seed", "status", "reason", "nfe", "seconds"}
    expected |= {"dtype", "trial_key", "training_key", "nelbo", "nelbo_stderr", "twin_nll_stderr"}
    assert expected <= set(table.column_names)
    assert ("loglinear", 2, 0, "done", "float64") == tuple(
        row[name] for name in ("noise.type", "sampler.steps", "seed", "status", "dtype")
    )
    assert results.trials[0].values["twin_nll"] == row["twin_nll"]


def test_markdown_has_its_shape(finished):
    plan, _, results = finished
    text = re.sub(r"\d+\.\d{3,}", "0.000", markdown(results))
    lines = re.sub(r"[+-]0\.000 ± 0\.000( [▲▼])?", "Δ", text).splitlines()

    assert "# tiny" == lines[0]
    texts = ("twin_nll (nats/token)", "entropy (nats/token)", "distinct_2", "distinct_3")
    heads = [
        f"{text} | {text.split()[0]} distance | Δ {text.split()[0]} distance" for text in texts
    ]
    heads += ["nelbo (nats/token) | Δ nelbo", "nelbo_bpb (bits/byte) | Δ nelbo_bpb"]
    assert f"| arm | n | NFE | {' | '.join(heads)} |" == lines[2], "samples, then networks"
    value, distance = "0.000 ± 0.000 (sd 0.000)", "0.000 ± 0.000"
    base = f" {value} | {distance} | — |" * 4 + f" {value} | — |" * 2
    assert f"| **loglinear · steps 2** (baseline) | 2 | 2 |{base}" == lines[4]
    assert f"| loglinear · steps 4 | 2 | 4 |{base.replace('—', 'Δ')}" == lines[5]
    values = " 0.000 |  |  |" * 4 + " — |  |" * 2
    assert f"| *held-out text* |  |  |{values}" == lines[8]
    assert text == re.sub(r"\d+\.\d{3,}", "0.000", (plan.folder / "table.md").read_text())


def test_csv_has_a_row_for_every_arm(finished):
    plan, *_ = finished
    head, *rows = (plan.folder / "table.csv").read_text().splitlines()

    assert head.startswith("arm,baseline,noise.type,sampler.steps,trials,failed,twin_nll_n,")
    assert 4 == len(rows)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None, 2], [1, None, 2]),
        ([1, 2.5, None], [1.0, 2.5, None]),
        (["a", None], ["a", None]),
        ([1, "a", None, True], ["1", '"a"', None, "true"]),
        ([True, 2], ["true", "2"]),
    ],
)
def test_a_column_is_of_one_type(values, expected):
    result = _column(values)

    assert expected == result
    assert list(map(type, expected)) == list(map(type, result))


def test_rows_of_tables_say_what_was_measured_and_what_was_not():
    result = made_up(None, {"a": [3.0], "b": [None]})
    done, failed = (_row(result, trial) for trial in result.trials)

    assert {
        "arm": "a",
        "noise.type": "a",
        "seed": 0,
        "baseline": True,
        "status": "done",
        "reason": None,
        "m": 3.0,
        "m_stderr": 0.25,
        "nfe": 4.0,
        "seconds": 1.0,
        "dtype": "float64",
        "trial_key": "a0",
        "training_key": "t",
    } == done
    nothing = dict.fromkeys(("m", "m_stderr", "nfe", "seconds", "dtype"))
    assert {
        **nothing,
        "reason": "it <b>broke</b>\nhere",
        "status": "failed",
    }.items() <= failed.items()
    first, second = csv.DictReader(io.StringIO(_csv(result)))
    assert ("1", "3.0", "1", "0") == tuple(first[n] for n in ("m_n", "m", "trials", "failed"))
    assert ("0", "", "1", "1") == tuple(second[n] for n in ("m_n", "m", "trials", "failed"))


@pytest.mark.parametrize("exact", [True, False])
def test_reports_say_why_there_are_no_bits_a_byte(exact, capsys):
    model = {"twin": False, "seed": 0, "training_key": "t", "settings": {}}
    model["result"] = {"metrics": {}, "exact": exact}
    results = attrs.evolve(made_up(None, {"a": [3.0], "b": [2.0]}), models={"a": model})
    facts = dict(_facts(results))

    assert exact is ("Bits a byte are not given" not in markdown(results))
    assert exact is ("bits a byte" not in facts)
    print_results(results)
    assert exact is ("no bits a byte" not in capsys.readouterr().out)
