"""How likely candidates are, by shared draws."""

import math

import pytest
import torch

from aios_core.config import resolve
from aios_core.errors import InferenceError
from aios_core.inference import ArrowEngine
from aios_core.inference.likelihood import Likelihoods, Question, bounds, log_likelihoods
from aios_core.testing.fixtures import tiny_values
from aios_core.testing.oracle import NoisyOracle, Oracle
from aios_core.training.trainer import train
from aios_plugins.corruptions.uniform import Uniform
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.loglinear import LogLinear


@pytest.mark.parametrize("noise", [LogLinear(), Cosine()])
@pytest.mark.parametrize("given", [(), (0,), (1, 3), (0, 2, 4)])
def test_the_mean_is_the_conditional_likelihood(noise, given):
    """Of every text of a joint, whatever is given of it."""
    oracle = Oracle(vocab=2, length=5, seed=1)
    asked = torch.tensor([place not in given for place in range(5)])
    ids = oracle.texts
    same = (ids[:, None] == ids)[..., ~asked].all(-1)
    expected = oracle.log_joint - (same * oracle.log_joint.exp()).sum(-1).log()

    how = {"mask_id": oracle.mask_id, "noise": noise, "draws": 200, "seed": 7}
    result = bounds(oracle, ids, asked.expand_as(ids), **how)
    error = result.std(1) / result.shape[1] ** 0.5
    assert ((result.mean(1) - expected).abs() <= 5 * error + 0.01).all()


def test_unknown_tokens_stay_unknown():
    """A mask that is not asked for is summed over."""
    oracle = Oracle(vocab=2, length=5, seed=2)
    ids = torch.tensor([[0, oracle.mask_id, 1, 1, oracle.mask_id]])
    asked = torch.tensor([[False, False, True, True, False]])
    joint, texts = oracle.log_joint.exp(), oracle.texts
    first = texts[:, 0] == 0
    both = first & (texts[:, 2] == 1) & (texts[:, 3] == 1)
    expected = math.log(joint[both].sum() / joint[first].sum())

    how = {"mask_id": oracle.mask_id, "noise": LogLinear(), "draws": 200, "seed": 7}
    result = bounds(oracle, ids, asked, **how)[0]
    assert abs(result.mean() - expected) < 5 * result.std() / 200**0.5


def test_shared_draws_make_differences_surer():
    """Of candidates that have much in common; one token says nothing of another here."""
    table = 3 * torch.randn(12, 5, generator=torch.Generator().manual_seed(0)).double()
    ids = torch.tensor([[0, 1, 2, 3] * 3, [0, 1, 2, 3] * 2 + [0, 1, 2, 1], [0, 1, 2, 3] * 3])
    asked = torch.ones_like(ids, dtype=torch.bool)

    def denoiser(x, t):
        return table.log_softmax(-1).expand(len(x), -1, -1)

    def drawn(seed):
        how = {"mask_id": 4, "noise": LogLinear(), "draws": 50, "seed": seed}
        return bounds(denoiser, ids, asked, **how)

    result, other = Likelihoods(drawn(1).numpy()), drawn(2).numpy()
    worse = 1 if result.best != 1 else 0
    gap, error = result.behind[worse]
    apart = ((result.draws[0] - other[1]).var(ddof=1) / 50) ** 0.5
    expected = abs(table[11, 3] - table[11, 1])
    assert error < 0.5 * apart
    assert abs(gap - expected) < 5 * error
    assert result.draws[0].tolist() == result.draws[2].tolist() == drawn(1)[0].tolist()
    assert result.behind[result.best] == (0, 0)


@pytest.mark.parametrize("mode", ["ar", "diffusion"])
def test_through_the_engine(engine, mode):
    candidates = ["milk, an", "zzqqx~kj", "milk"]
    result = engine.likelihoods("a bottle of ", candidates, mode=mode)

    assert result.values[0] > result.values[1]
    assert all(value < 0 for value in result.values)
    for number, candidate in enumerate(candidates):  # whatever its mates, bit for bit
        alone = engine.likelihoods("a bottle of ", [candidate], mode=mode)
        assert alone.draws[0].tolist() == result.draws[number].tolist()
    ids = [engine.tokenizer.encode(text).tolist() for text in candidates]
    again = engine.likelihoods(engine.tokenizer.encode("a bottle of ").tolist(), ids, mode=mode)
    assert again.values == result.values
    assert result.draws.shape == (3, 1 if mode == "ar" else 8)


def test_what_the_twin_knows_is_what_it_writes(engine):
    written = engine.generate("a ", mode="ar", max_new_tokens=6, ignore_eos=True)
    ids = written.token_ids[0][2:]
    (result,) = engine.likelihoods("a ", [ids], mode="ar").values
    assert abs(result - sum(written.log_probs[0])) < 1e-4


@pytest.mark.parametrize(
    ("prompt", "candidates", "how", "expected"),
    [
        ("a", [], {}, "expected at least 1 candidate, got none"),
        ("a", ["x"], {"draws": 0}, "draws is 0; expected 1 to 1,048,576"),
        ("a", ["x", ""], {}, "candidate 1 has 0 tokens, and the prompt 1"),
        (
            "a" * 20,
            ["x", "12345"],
            {},
            "candidate 1 has 5 tokens, and the prompt 20.*context is 23",
        ),
        ("a" * 25, ["x"], {}, "candidate 0 has 1 tokens, and the prompt 25"),
        ([99_999], ["x"], {}, "prompt: expected text or token ids"),
    ],
)
def test_what_cannot_be_compared(engine, prompt, candidates, how, expected):
    with pytest.raises(InferenceError, match=expected):
        engine.likelihoods(prompt, candidates, **how)


def test_models_that_cannot_be_asked(engine):
    twin = engine.models["ar"].model
    with pytest.raises(InferenceError, match="candidates at the end of texts"):
        log_likelihoods(twin, [Question((1, 2, 3), (False, True, False))], draws=1, seed=0)
    with pytest.raises(ValueError, match=r"draws: expected \(candidates, draws\), got \(0, 3\)"):
        Likelihoods(torch.zeros(0, 3).numpy())


ASKED = [False, False, True, True]


@pytest.mark.parametrize("noise", ["uniform", "blocks of 1", "blocks of 2", "blocks of 4"])
def test_the_mean_is_a_bound_however_a_network_is_trained(noise):
    """That of a perfect network is the conditional likelihood itself, whatever the other rows."""
    if noise == "uniform":
        schedule = LogLinear(eps=0.0)
        asked, oracle = ASKED[1:], NoisyOracle(Uniform(), schedule, length=3, given=[0])
        model = oracle.model(schedule)
    else:
        asked, oracle = ASKED, Oracle(length=4)
        model = oracle.model(LogLinear(eps=0.0), int(noise[-1]))
    rows = [Question(tuple(text), tuple(asked)) for text in oracle.texts[[5, 17]].tolist()]
    result = log_likelihoods(model, rows, draws=300, seed=3)
    error = result.draws.std(1) / 300**0.5
    exact = oracle.log_conditional(torch.tensor(asked))[[5, 17]].numpy()

    assert (abs(result.draws.mean(1) - exact) <= 4 * error + 0.01 * abs(exact)).all()
    (alone,) = log_likelihoods(model, rows[1:], draws=300, seed=3).draws
    assert alone.tolist() == result.draws[1].tolist()


@pytest.mark.parametrize("setting", ["corruption.type=uniform", "diffusion.block_size=8"])
def test_candidates_through_the_engine_however_it_is_trained(tmp_path, monkeypatch, setting):
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "corpus.txt").write_text("a bottle of milk, and another. " * 100)
    training = ("training.steps=300", "training.batch_size=32", "training.learning_rate=3e-3")
    values = tiny_values(tmp_path / "corpus.txt")
    train(resolve(values, overrides=[setting, *training]), tmp_path / "run", progress=False)
    engine = ArrowEngine.load(tmp_path / "run")
    result = engine.likelihoods("a bottle ", ["of milk", "on silk"])

    assert 0 == result.best
    ((_, _), (gap, error)) = result.behind
    assert gap > 3 * error > 0
    with pytest.raises(InferenceError, match=r"expected a number of tokens as in <mask:12>"):
        engine.infill("a <mask:*> milk")
    bos_id, mask_id = engine.tokenizer.vocabulary.bos_id, engine.tokenizer.vocabulary.mask_id
    row = Question((bos_id, mask_id, 97), (False, False, True))
    with pytest.raises(InferenceError, match="expected rows without masks"):
        log_likelihoods(engine.models["diffusion"].model, [row], draws=1, seed=0)
