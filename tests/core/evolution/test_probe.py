"""The probe's formulas, against what is known, and against WeightWatcher where it is installed."""

import math

import pytest
import torch
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.evolution.probe import power_law, probe


def measured(w, name="w"):
    return {row.metric: row for row in probe({name: w})}


def test_a_matrix_of_known_spectrum():
    found = {
        metric: row.value for metric, row in measured(torch.diag(torch.arange(1.0, 5))).items()
    }
    share = torch.arange(1.0, 5) / 10

    assert math.sqrt(30) == pytest.approx(found["norm"])
    assert 4 == pytest.approx(found["spectral_norm"])
    assert 30 / 16 == pytest.approx(found["stable_rank"])
    assert 4 == pytest.approx(found["condition_number"])
    assert found["effective_rank"] == pytest.approx(float((-(share * share.log()).sum()).exp()))
    assert 0.75 == found["sparsity"]


def test_outliers_are_counted():
    w = torch.randn(100, 100, generator=torch.Generator().manual_seed(0))
    w[3, 4] = 50

    assert 1e-4 == measured(w)["outliers"].value
    assert measured(w)["kurtosis"].value > 100


@pytest.mark.parametrize("columns", [1, 49])
def test_alpha_of_too_few_eigenvalues_is_refused(columns):
    row = measured(torch.randn(200, columns))["alpha"]

    assert row.value is None
    assert "a power law wants 50" in row.status


@pytest.mark.parametrize("alpha", [2.0, 3.5])
def test_a_power_law_is_found_again(alpha):
    u = torch.rand(4000, generator=torch.Generator().manual_seed(0)).double()
    eigenvalues = (1 - u).pow(-1 / (alpha - 1)).sort().values
    found, distance, tail = power_law(eigenvalues)

    assert alpha == pytest.approx(found, rel=0.1)
    assert distance < 0.03
    assert tail > 100


def test_odd_tensors_are_no_crash():
    for w in (
        torch.zeros(60, 60),
        torch.ones(3),
        torch.empty(0, 4),
        torch.ones(2, dtype=torch.int),
    ):
        for row in probe({"w": w}):
            assert row.value is None or math.isfinite(row.value)


def test_it_agrees_with_weightwatcher():
    weightwatcher = pytest.importorskip("weightwatcher")
    layer = torch.nn.Linear(200, 300, bias=False)
    details = weightwatcher.WeightWatcher(model=torch.nn.Sequential(layer)).analyze()
    found = {metric: row.value for metric, row in measured(layer.weight).items()}

    assert found["alpha"] == pytest.approx(float(details.alpha[0]), rel=0.02)
    assert found["stable_rank"] == pytest.approx(float(details.stable_rank[0]), rel=1e-3)


def test_a_run_is_looked_at_and_compared(run, tmp_path, monkeypatch):
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))

    def aios(*words):
        done = CliRunner().invoke(cli, ["probe", str(run), *words])
        assert 0 == done.exit_code, done.output
        return done.output

    parquet = str(tmp_path / "x.parquet")
    told = aios("--data", "--quantizer", "rtn", "--output", parquet)
    assert "fisher" in told
    assert "quantization_error" in told
    assert "backbone.blocks.0.attention.qkv.weight" in told
    import pyarrow.parquet as pq

    columns = ["tensor", "shape", "metric", "value", "status", "n"]
    assert columns == pq.read_table(parquet).column_names
    table = aios("--against", str(run), "--metric", "norm").splitlines()
    assert {"0"} == {line.split()[-1] for line in table[1:]}
    aios("--heatmap", str(tmp_path / "x.png"), "--metric", "norm", "--metric", "kurtosis")
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_a_file_of_tensors_is_looked_at(tmp_path):
    from safetensors.torch import save_file

    save_file({"a.weight": torch.randn(60, 60), "b": torch.ones(3)}, tmp_path / "m.safetensors")
    done = CliRunner().invoke(cli, ["probe", str(tmp_path / "m.safetensors"), "--json"])

    assert 0 == done.exit_code, done.output
    assert '"alpha"' in done.stdout
    done = CliRunner().invoke(cli, ["probe", str(tmp_path / "m.safetensors"), "--data"])
    assert 2 == done.exit_code
    assert "want a run" in done.stderr
