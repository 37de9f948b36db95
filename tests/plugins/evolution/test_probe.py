"""The probe's formulas, against what is known, and against WeightWatcher where it is installed."""

import math

import pytest
import torch
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.training.digest import model_digest
from aios_core.training.fitting import gradients_of, score
from aios_plugins.evolution.probe import (
    PROMISE,
    power_law,
    probe,
    quantization_errors,
    quantization_sensitivity,
    with_data,
)
from aios_plugins.evolution.splits import split
from aios_plugins.quantizers.rtn import Rtn


def measured(w, name="w"):
    return {row.metric: row for row in probe({name: w})}


def test_a_matrix_of_known_spectrum():
    result = {
        metric: row.value for metric, row in measured(torch.diag(torch.arange(1.0, 5))).items()
    }
    share = torch.arange(1.0, 5) / 10

    assert math.sqrt(30) == pytest.approx(result["norm"])
    assert 4 == pytest.approx(result["spectral_norm"])
    assert 30 / 16 == pytest.approx(result["stable_rank"])
    assert 4 == pytest.approx(result["condition_number"])
    assert result["effective_rank"] == pytest.approx(float((-(share * share.log()).sum()).exp()))
    assert 0.75 == result["sparsity"]


def test_outliers_are_counted():
    w = torch.randn(100, 100, generator=torch.Generator().manual_seed(0))
    w[3, 4] = 50

    assert 1e-4 == measured(w)["outliers"].value
    assert measured(w)["kurtosis"].value > 100


@pytest.mark.parametrize("columns", [1, 49])
def test_alpha_of_too_few_eigenvalues_is_refused(columns):
    row = measured(torch.randn(200, columns))["alpha"]

    assert row.value is None
    assert "a power law needs 50" in row.status


@pytest.mark.parametrize("alpha", [2.0, 3.5])
def test_a_power_law_is_found_again(alpha):
    u = torch.rand(4000, generator=torch.Generator().manual_seed(0)).double()
    eigenvalues = (1 - u).pow(-1 / (alpha - 1)).sort().values
    result, distance, tail = power_law(eigenvalues)

    assert alpha == pytest.approx(result, rel=0.1)
    assert distance < 0.03
    assert tail > 100


def test_the_tail_is_the_one_nearest_to_its_power_law():
    """By the definitions of Clauset, Shalizi and Newman, over every tail that may begin."""
    x = [0.5, 0.6, 0.9, 1.0, 1.1, 1.7, 2.0, 3.5, 4.0, 11.0]
    best = None
    for start in range(len(x) - 1):
        tail = x[start:]
        alpha = 1 + len(tail) / sum(math.log(each / tail[0]) for each in tail)
        distance = max(
            abs(1 - (each / tail[0]) ** (1 - alpha) - rank / len(tail))
            for rank, each in enumerate(tail)
        )
        if best is None or distance < best[1]:
            best = (alpha, distance, len(tail))

    assert pytest.approx(best) == power_law(torch.tensor(x).double())
    assert 2 < best[2] < 10


def test_what_follows_from_a_spectrum():
    """Of eigenvalues, the squares of singular values, and logarithms to the base 10."""
    values = torch.linspace(1, 30, 64).double()
    result = measured(torch.diag(values))
    alpha, distance, tail = power_law(values**2)

    assert (alpha, distance) == (result["alpha"].value, result["alpha_ks"].value)
    assert pytest.approx(alpha * math.log10(900)) == result["alpha_hat"].value
    assert {tail} == {result[name].n for name in ("alpha", "alpha_ks", "alpha_hat")}
    assert 64 * 64 == result["stable_rank"].n


def test_odd_tensors_are_no_crash():
    for w in (
        torch.zeros(60, 60),
        torch.ones(3),
        torch.empty(0, 4),
        torch.ones(2, dtype=torch.int),
    ):
        for row in probe({"w": w}):
            assert row.value is None or math.isfinite(row.value)


@pytest.mark.parametrize("w", [torch.eye(60), torch.diag(torch.arange(60) % 2.0)])
def test_a_spectrum_without_a_tail_has_no_exponent(w):
    """Neither nan nor a division by zero: a reason."""
    result = measured(w)

    assert (None, None) == (result["alpha"].value, result.get("alpha_ks"))
    assert "all eigenvalues are alike" in result["alpha"].status
    assert 1 == pytest.approx(result["spectral_norm"].value)


def test_a_singular_matrix_has_no_condition_number():
    row = measured(torch.diag(torch.tensor([2.0, 0.0])))["condition_number"]

    assert (None, "not finite", 4) == (row.value, row.status, row.n)
    assert ("ok", 4) == (
        measured(torch.diag(torch.tensor([2.0, 0.5])))["condition_number"].status,
        measured(torch.diag(torch.tensor([2.0, 0.5])))["condition_number"].value,
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_short_numbers_are_measured_as_the_values_that_they_are(dtype):
    """In double precision: a sum of 16384 ones in bfloat16 is 256."""
    w = torch.ones(128, 128, dtype=dtype)
    w[0, 0] = 3
    result = {metric: row.value for metric, row in measured(w).items()}
    (row,) = quantization_errors({"w": w}, Rtn(bits=8))

    assert pytest.approx(math.sqrt(128 * 128 + 8)) == result["norm"]
    assert pytest.approx(float(torch.linalg.matrix_norm(w.double(), 2))) == result["spectral_norm"]
    assert pytest.approx(1 / 128**2) == result["outliers"]
    assert row.value < 1e-3


def matrices():
    """Of thin and thick tails, long, wide and square."""
    torch.manual_seed(0)
    return {
        "thin": torch.randn(200, 300) * 0.05,
        "thick": torch.randn(300, 200) * torch.rand(200).pow(-0.5),
        "square": torch.randn(128, 128),
        "student": torch.distributions.StudentT(3.0).sample((400, 120)),
    }


@pytest.mark.filterwarnings("ignore")  # of what it does with its own libraries
@pytest.mark.parametrize("name", ["thin", "thick", "square", "student"])
def test_it_agrees_with_weightwatcher(name):
    weightwatcher = pytest.importorskip("weightwatcher")
    w = matrices()[name]
    layer = torch.nn.Linear(*w.T.shape, bias=False)
    layer.weight.data = w
    theirs = weightwatcher.WeightWatcher(model=torch.nn.Sequential(layer)).analyze().iloc[0]
    ours = {metric: row.value for metric, row in measured(w).items()}
    names = {"alpha": "alpha", "D": "alpha_ks", "alpha_weighted": "alpha_hat"}
    names |= {"stable_rank": "stable_rank"}

    assert {n: pytest.approx(float(theirs[n]), rel=1e-6) for n in names} == {
        their: ours[own] for their, own in names.items()
    }
    assert pytest.approx(float(theirs["norm"]), rel=1e-5) == ours["norm"] ** 2
    assert pytest.approx(float(theirs["spectral_norm"]), rel=1e-5) == ours["spectral_norm"] ** 2


def test_what_quantizing_one_matrix_costs(loaded, settings):
    """Two bits cost more than eight, each matrix by itself, and the model stays as it was."""
    held = split(settings().config, loaded.tokenizer).report.base
    before = model_digest(loaded.model)
    few, many = (
        {r.tensor: r.value for r in quantization_sensitivity(loaded.model, held, Rtn(bits=bits))}
        for bits in (2, 8)
    )
    named = dict(loaded.model.named_parameters())
    name = "backbone.blocks.0.attention.qkv.weight"
    changed = loaded.model.fork()
    weight = changed.get_parameter(name)
    with torch.no_grad():
        coarse = Rtn(bits=2).dequantize(Rtn(bits=2).quantize(weight.detach()))
        module, _, last = name.rpartition(".")
        setattr(changed.get_submodule(module), last, torch.nn.Parameter(coarse))
    nats = score(changed, held, draws=2, seed=0) - score(loaded.model, held, draws=2, seed=0)

    assert {n for n, p in named.items() if p.ndim == 2} == few.keys()
    assert sum(map(abs, many.values())) < sum(few.values())
    assert pytest.approx(float(nats.sum() / held.valid.sum()), abs=1e-6) == few[name]
    assert before == model_digest(loaded.model)


def test_gradients_are_measured_as_their_names_say(loaded, settings):
    """Norms of the mean gradient; Fisher's information is the mean of squares of each batch."""
    held = split(settings().config, loaded.tokenizer).report.base
    rows = {(r.tensor, r.metric): r.value for r in with_data(loaded.model, held, batches=3, seed=5)}
    fork = loaded.model.fork().eval()
    name, tensor = next(iter(fork.named_parameters()))
    each = gradients_of(fork, held, [tensor], batches=3, seed=5)
    drawn = torch.stack([gradient for (gradient,) in each]).double()
    mean = drawn.mean(0)

    assert pytest.approx(float(mean.norm()), rel=1e-4) == rows[name, "grad_norm"]
    assert pytest.approx(float(mean.abs().mean()), rel=1e-4) == rows[name, PROMISE]
    relative = float(mean.norm() / tensor.detach().double().norm())
    assert pytest.approx(relative, rel=1e-4) == rows[name, "relative_grad_norm"]
    assert pytest.approx(float(drawn.square().mean()), rel=1e-4) == rows[name, "fisher"]
    assert not torch.equal(drawn[0], drawn[1]), "each batch is of other rows and noise"


def test_moments_of_entries():
    """Of a population, and centred: the same weights moved by 3 have the same shape."""
    w = torch.tensor([0.0, 0, 0, 0, 0, 0, 0, 3]).double()
    p, result = 1 / 8, {metric: row.value for metric, row in measured(w + 3).items()}

    assert pytest.approx((1 - 6 * p * (1 - p)) / (p * (1 - p))) == result["kurtosis"]
    assert (6, 0) == (result["max_abs"], result["sparsity"])
    spikes = torch.cat((torch.zeros(99), torch.ones(1)))
    assert 0.01 == measured(spikes)["outliers"].value, "9.9 deviations"
    assert 0 == measured(torch.cat((torch.zeros(30), torch.ones(1))))["outliers"].value, "5.5"


def test_errors_of_quantization_are_relative_to_the_matrix():
    w = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    (row,) = quantization_errors({"w": 10 * w, "b": torch.ones(3)}, Rtn(bits=3))
    error = Rtn(bits=3).dequantize(Rtn(bits=3).quantize(w)) - w

    assert pytest.approx(float((error**2).sum() / (w**2).sum()), rel=1e-2) == row.value


def test_a_run_is_looked_at_and_compared(run, tmp_path, monkeypatch):
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))

    def aios(*words):
        done = CliRunner().invoke(cli, ["probe", str(run), *words])
        assert 0 == done.exit_code, done.output
        return done.output

    parquet = str(tmp_path / "x.parquet")
    output = aios("--data", "--quantizer", "rtn", "--output", parquet)
    assert "fisher" in output
    assert "quantization_error" in output
    assert "quantization_nelbo" in output
    assert "backbone.blocks.0.attention.qkv.weight" in output
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
    assert "expected a run" in done.stderr
    for words, expected in {
        ("--metric", "nrom"): "--metric nrom: expected one of norm, ",
        ("--heatmap", "x.txt"): "--heatmap: expected a name that ends with .png or .svg or .pdf",
        ("--output", "x.csv"): "--output: expected a name that ends with .parquet, got x.csv",
    }.items():  # Fault T8: an option is never ignored
        done = CliRunner().invoke(cli, ["probe", str(tmp_path / "m.safetensors"), *words])
        assert (2, True) == (done.exit_code, expected in done.stderr), done.stderr
