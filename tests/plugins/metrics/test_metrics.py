"""The metrics meet their contract, and have the values that can be worked out by hand."""

import math

import attrs
import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax

from aios_core.config.schema import EvaluationConfig, EvolutionConfig
from aios_core.contracts import Adaptation, Estimate, Metric, Samples, Sequences, store_schema
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import nelbo
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.errors import PluginError
from aios_core.experiment.evaluate import measure
from aios_core.memory import Embedder, Place, open_store, with_embedding_metadata
from aios_core.testing.contracts.metric import MetricContract, tiny_evidence
from aios_core.training import cues
from aios_core.training.layout import Framing
from aios_plugins.conditioners.memory import Memory as Memories
from aios_plugins.embeddings.hashing import Hashing
from aios_plugins.evolution import proposal, splits
from aios_plugins.evolution.gate import Change, Verdict
from aios_plugins.evolution.proposal import Proposal
from aios_plugins.metrics import evolution
from aios_plugins.metrics.distinct import Distinct
from aios_plugins.metrics.entropy import Entropy
from aios_plugins.metrics.likelihood import Likelihood
from aios_plugins.metrics.memory import Memory
from aios_plugins.metrics.nelbo import Nelbo
from aios_plugins.metrics.twin import Twin
from aios_plugins.storage.arrow import Arrow


class TestDistinct(MetricContract):
    component = Distinct(n=(1, 2, 5))


def sampled(rows, targets=None):
    """Samples of tokens, all of which a sampler chose if nothing else is said."""
    ids = torch.tensor(rows)
    targets = torch.ones_like(ids).bool() if targets is None else torch.tensor(targets).bool()
    sequences = Sequences(ids, torch.ones_like(ids).bool(), targets)
    return Samples(sequences, ("",) * len(rows), nfe=1, seconds=0.0, dtype="float64")


def with_samples(*given):
    return attrs.evolve(tiny_evidence(), samples=sampled(*given))


def test_entropy_of_each_sample_then_the_mean():
    result = Entropy().measure(with_samples([[65, 65, 65, 65], [65, 66, 67, 68]]))["entropy"]

    assert pytest.approx(math.log(4) / 2) == result.value
    assert pytest.approx(math.log(4) / 2) == result.stderr


def test_distinct_counts_over_all_samples():
    result = Distinct(n=(1, 2, 8)).measure(with_samples([[1, 2, 1, 2], [1, 2, 3, 3]]))

    assert {"distinct_1": Estimate(3 / 8), "distinct_2": Estimate(4 / 6)} == result


def test_what_was_given_or_stands_behind_the_end_is_no_part_of_a_sample():
    """Neither begin tokens nor prompts nor what fills a row up say anything of a sampler."""
    given = [[9, 7, 65, 65, 8, 8], [9, 65, 66, 67, 68, 8]]
    chosen = [[0, 0, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0]]
    evidence = with_samples(given, chosen)

    assert pytest.approx(math.log(4) / 2) == Entropy().measure(evidence)["entropy"].value
    result = Distinct(n=(1, 2)).measure(evidence)
    assert {"distinct_1": Estimate(4 / 6), "distinct_2": Estimate(1.0)} == result


@pytest.mark.parametrize(
    ("documents", "windows", "first"),
    [
        (True, [[258, 97, 98, 99], [100, 101, 102, 103], [259]], 1),
        (False, [[97, 98, 99, 100], [101, 102, 103]], 0),
    ],
)
def test_likelihood_counts_every_token_once(documents, windows, first):
    """From the begin token, which costs nothing, to the end token; or all of a stream."""
    evidence = tiny_evidence("abcdefg", mode="ar", length=4)
    held_out = evidence.held_out.framed(Framing(4, documents=documents, fill=False))
    evidence, logits_of = attrs.evolve(evidence, held_out=held_out), evidence.model
    total = 0.0
    for window in windows:
        x = torch.tensor([[evidence.model.vocabulary.bos_id, *window[:-1]]])
        logits = logits_of(x)[0].detach()
        logits[:, evidence.model.vocabulary.mask_id] = -torch.inf
        picked = log_softmax(logits.double(), -1)[range(len(window)), window]
        total -= float(picked[first:].sum())
        first = 0

    result = Likelihood().measure(evidence)

    tokens = 8 if documents else 7
    assert pytest.approx(total / tokens, rel=1e-5) == result["nll"].value
    assert pytest.approx(total / 7 / math.log(2), rel=1e-5) == result["nll_bpb"].value


def test_bits_a_byte_do_not_depend_on_the_number_of_tokens():
    evidence = tiny_evidence()
    result = Nelbo().measure(evidence)
    twice = attrs.evolve(evidence.held_out, num_bytes=2 * evidence.held_out.num_bytes)

    halved = Nelbo().measure(attrs.evolve(evidence, held_out=twice))

    assert pytest.approx(result["nelbo_bpb"].value / 2) == halved["nelbo_bpb"].value
    assert result["nelbo"] == halved["nelbo"]


def test_more_draws_agree_within_their_errors():
    evidence = tiny_evidence()
    config = evidence.config
    many = attrs.evolve(config, evaluation=attrs.evolve(config.evaluation, draws=64))

    few, better = (
        Nelbo().measure(e)["nelbo"] for e in (evidence, attrs.evolve(evidence, config=many))
    )

    assert abs(few.value - better.value) < 4 * math.hypot(few.stderr, better.stderr)
    assert better.stderr < few.stderr


def test_twin_judges_as_likelihood_does():
    evidence = tiny_evidence("x" * 30, mode="ar", length=16)  # with its ends two whole sequences
    evidence = attrs.evolve(evidence, twin=evidence.model)

    judged = Twin().measure(evidence)["twin_nll"]

    assert pytest.approx(Likelihood().measure(evidence)["nll"].value, rel=1e-6) == judged.value


@pytest.mark.parametrize("size", [1, 2, 3, 64])
def test_twin_judges_every_sample_and_token_once(size):
    """T26: batches that do not divide the samples lose none; an end of text counts as a token.

    What was given, and what stands behind the end, is seen and counts for nothing.
    """
    evidence = tiny_evidence(mode="ar", length=8)
    eos = evidence.model.vocabulary.eos_id
    rows = torch.arange(5 * 8).reshape(5, 8)
    rows[:, 3], rows[:, 7] = eos, eos
    chosen = torch.ones_like(rows)
    chosen[0, 0], chosen[2, 4:], chosen[3, :3] = 0, 0, 0
    samples = sampled(rows.tolist(), chosen.tolist())
    config = attrs.evolve(evidence.config, evaluation=EvaluationConfig(batch_size=size))
    evidence = attrs.evolve(evidence, samples=samples, twin=evidence.model, config=config)
    with torch.no_grad():
        bos = torch.full((5, 1), evidence.model.vocabulary.bos_id)
        logits = evidence.model(torch.cat((bos, rows[:, :-1]), 1))
        logits[..., evidence.model.vocabulary.mask_id] = -torch.inf
        nats = -log_softmax(logits, -1).gather(-1, rows[..., None])[..., 0]
        expected = (nats * chosen).sum() / (5 * 8 - 1 - 4 - 3)

    assert pytest.approx(float(expected), rel=1e-5) == Twin().measure(evidence)["twin_nll"].value


def test_nothing_of_the_other_kind_of_network():
    assert {} == Nelbo().measure(tiny_evidence(mode="ar"))
    assert {} == Likelihood().measure(tiny_evidence())


@pytest.fixture
def reminded(tmp_path):
    """Evidence of an untrained network with a conditioner, and a store of two memories."""
    plain = tiny_evidence()
    schema = with_embedding_metadata(store_schema(8), Hashing(dim=8), {"type": "hashing", "dim": 8})
    texts = ["the dog sleeps", "a brown fox"]
    with open_store(Place(Arrow(), str(tmp_path / "store")), schema=schema) as store:
        vectors = Embedder(Hashing(dim=8)).embed(texts)
        pairs = zip(texts, vectors, strict=True)
        store.add([{"id": text, "text": text, "vector": pair} for text, pair in pairs])
    memory = Memories(k=1, store=tmp_path / "store", dim=8)
    config = attrs.evolve(plain.config, conditioner=memory)
    model = Model.build(config, plain.tokenizer.vocabulary).eval()
    return attrs.evolve(plain, config=config, model=model)


@pytest.mark.parametrize(("size", "draws"), [(1, 1), (3, 2), (64, 5)])
def test_memories_that_are_not_heard_gain_nothing(reminded, size, draws):
    """Exactly: all bounds are on the same noise, so that of the draws cancels."""
    evaluation = EvaluationConfig(batch_size=size, draws=draws)
    evidence = attrs.evolve(reminded, config=attrs.evolve(reminded.config, evaluation=evaluation))
    nothing = dict.fromkeys(("memory_gain", "memory_gain_random"), Estimate(0.0, 0.0))

    assert nothing == Memory().measure(evidence)
    for layer in evidence.model.conditioner.layers:
        torch.nn.init.normal_(layer.gate.weight)
    assert all(value.value != 0 for value in Memory().measure(evidence).values())


def test_ratio_of_equal_sizes_is_the_mean_and_its_standard_error():
    result = Estimate.ratio([1.0, 2.0, 6.0], [1.0, 1.0, 1.0])

    assert pytest.approx(3.0) == result.value
    assert pytest.approx(math.sqrt(7 / 3)) == result.stderr
    assert Estimate(2.0) == Estimate.ratio([4.0], [2.0])


def test_ratio_of_unequal_sizes_counts_tokens_and_not_texts():
    """3 nats of 1 token and 5 of 3: the error is of what each is off the mean times its size."""
    result = Estimate.ratio([3.0, 5.0], [1.0, 3.0])

    assert result.value == 2
    assert pytest.approx(math.sqrt((1**2 + 1**2) * 2 / 1) / 4) == result.stderr
    assert Estimate(2.0, 0.0) == Estimate.ratio([2.0, 4.0, 8.0], [1.0, 2.0, 4.0])


def test_bits_a_byte_have_the_error_in_bits_a_byte():
    evidence = tiny_evidence()
    twice = attrs.evolve(evidence.held_out, num_bytes=2 * len(evidence.held_out.ids))
    evidence = attrs.evolve(evidence, held_out=twice)

    result = evidence.bits_per_byte(Estimate(3 * math.log(2), math.log(2) / 2))

    assert pytest.approx((1.5, 0.25)) == (result.value, result.stderr)
    assert evidence.bits_per_byte(Estimate(3 * math.log(2))).stderr is None


@attrs.frozen
class Bent(Metric):
    """A metric that measures what it is given."""

    of = "model"
    measured: object

    def measure(self, evidence):
        return self.measured()


@pytest.mark.parametrize(
    ("measured", "problem"),
    [
        (lambda: {"a": Estimate(math.nan)}, "the value of a is nan; expected a finite number"),
        (lambda: {"a": Estimate(1.0, math.inf)}, "the stderr of a is inf"),
        (lambda: {"a": Estimate(torch.ones(()))}, r"the value of a is tensor\(1.\)"),
        (lambda: {"a": Estimate(None)}, "the value of a is None"),
        (lambda: {"a": 1.0}, "expected a name and an Estimate"),
        (lambda: {3: Estimate(1.0)}, "expected a name and an Estimate"),
        (lambda: [1.0], "gives a list; expected a dict"),
        (lambda: 1 / 0, "measure raised ZeroDivisionError"),
    ],
)
def test_what_a_metric_gives_is_held_to_its_contract(measured, problem):
    """Fault N17: finite numbers by name, and the metric is named where they are not."""
    evidence = tiny_evidence()
    metrics = attrs.evolve(evidence.config, metrics=(Bent(measured),))
    with pytest.raises(PluginError, match=f"Bent.*{problem}"):
        measure("model", attrs.evolve(evidence, config=metrics))


@pytest.mark.parametrize("size", [64, 2])
def test_a_gain_is_how_much_likelier_second_halves_are_with_memories(reminded, size):
    """Nats a token without memories less those with them, on the same draws of noise.

    Each row with its own memories, in whatever batch it is.
    """
    evaluation = EvaluationConfig(batch_size=size, draws=1)
    evidence = attrs.evolve(reminded, config=attrs.evolve(reminded.config, evaluation=evaluation))
    model, config = evidence.model, evidence.config
    for layer in model.conditioner.layers:
        torch.nn.init.normal_(layer.gate.weight)
    held = evidence.held_out.sequences()
    free, seen, tokens = torch.zeros_like(held.targets), held.ids.clone(), []
    for row, size_of in enumerate(held.sizes.tolist()):  # of the last one a part fills it up
        places = held.targets[row].nonzero()[:, 0]
        free[row, places[size_of // 2 :]] = True
        seen[row, places[size_of // 2] :] = model.vocabulary.pad_id
        tokens.append(size_of - size_of // 2)
    asked = Sequences(held.ids, held.valid, free)
    conditioned = cues.source(config, evidence.tokenizer).for_evaluation(seen)
    source, count = torch.Generator().manual_seed(config.seed), len(asked)
    parts = [range(start, min(start + size, count)) for start in range(0, count, size)]
    times = [draw_times(len(part), source) for part in parts]

    def nats(memories=None):
        results = []
        for part, at in zip(parts, times, strict=True):
            network = model.conditioned(memories and memories.taken(np.array(part)))
            random = RowRandom.numbered(config.seed, part, held.ids.shape[1])
            results.append(nelbo(network, asked[part.start : part.stop], at, random))
        return torch.cat(results).double()

    result = Memory().measure(evidence)
    others = conditioned.taken(np.roll(np.arange(count), count // 2))
    assert count > 2
    assert len(set(tokens)) > 1
    with torch.no_grad():
        for name, memories in (("memory_gain", conditioned), ("memory_gain_random", others)):
            expected = Estimate.ratio((nats() - nats(memories)).tolist(), tokens)
            assert pytest.approx(expected.value, rel=1e-4) == result[name].value
            assert pytest.approx(expected.stderr, rel=1e-3) == result[name].stderr


def test_a_gain_of_an_adaptation_is_what_the_report_says(monkeypatch):
    """Likelier is a gain, less likely a loss, each with its own standard error.

    Of the texts that decided nothing; whether it would stay is what the gate says.
    """
    target, base = Change(2.0, 1.5, -0.5, -0.9, -0.2, 0.11), Change(3.0, 3.25, 0.25, 0, 1, 0.07)
    report = Verdict(accepted=False, reason="", target=target, base=base, alpha=0.05)
    gate = Verdict(accepted=True, reason="", target=base, base=target, alpha=0.01)
    evidence = tiny_evidence()
    total, asked = evidence.model.num_parameters(), []
    tensors = {"a": torch.ones(3, dtype=torch.float64), "b": torch.ones(2, 2)}
    made = Adaptation({}, tensors, total // 4)

    def propose(level, model, splits, config):
        asked.append((level.name, model, splits, config))
        return Proposal(made, model, 1.5, gate, report)

    monkeypatch.setattr(proposal, "propose", propose)
    monkeypatch.setattr(splits, "split", lambda *words: words)
    config = attrs.evolve(evidence.config, evolution=EvolutionConfig(level="l2-lora"))
    result = evolution.Evolution().measure(attrs.evolve(evidence, config=config))

    assert {
        "target_gain": Estimate(0.5, 0.11),
        "base_loss": Estimate(0.25, 0.07),
        "adapted_share": Estimate(100 * (total // 4) / total),
        "adaptation_bytes": Estimate(3 * 8 + 4 * 4),
        "adaptation_seconds": Estimate(1.5),
        "accepted": Estimate(1.0),
    } == result
    assert [("l2-lora", evidence.model, (config, evidence.tokenizer), config)] == asked
    assert {} == evolution.Evolution().measure(evidence)


@pytest.mark.parametrize("length", [8, 9])
def test_a_row_is_found_by_what_is_not_predicted_of_it(reminded, length):
    """By all of that, and by nothing that a gain is measured of."""
    held = reminded.held_out.framed(attrs.evolve(reminded.held_out.framing, length=length))
    sequences, pad = held.sequences(), reminded.model.vocabulary.pad_id
    asked = sequences.targets & (sequences.targets.cumsum(-1) * 2 > sequences.sizes[:, None])
    behind = asked.cumsum(-1) > 0
    first = sequences.first_halves(pad)

    assert len(set(sequences.sizes.tolist())) > 1
    assert torch.equal(first == pad, behind)
    assert torch.equal(first[~behind], sequences.ids[~behind])


def test_the_bound_is_of_every_window_under_its_own_times():
    """From time_epsilon on, as times are drawn; the mean over draws, a ratio over windows."""
    evidence = tiny_evidence("the quick brown fox jumps over it", length=8)
    config = attrs.evolve(
        evidence.config,
        seed=3,
        evaluation=EvaluationConfig(batch_size=64, draws=2),
        diffusion=attrs.evolve(evidence.config.diffusion, times="iid", time_epsilon=1e-3),
    )
    result = Nelbo().measure(attrs.evolve(evidence, config=config))["nelbo"]
    held, count = evidence.held_out.sequences(), 5
    times = draw_times(2 * count, torch.Generator().manual_seed(3), "iid", 1e-3)
    random = RowRandom.numbered(3, range(count), 8)
    with torch.no_grad():
        first, second = (
            nelbo(evidence.model, held, part[:, None], random) for part in times.split(count)
        )
    nats, sizes = (first + second).double() / 2, torch.tensor([7, 8, 8, 8, 3])
    value = float(nats.sum() / sizes.sum())
    off = (nats - value * sizes).square().sum() * count / (count - 1)

    assert count == len(held)
    assert pytest.approx(value) == result.value
    assert pytest.approx(float(off.sqrt() / sizes.sum())) == result.stderr


@pytest.mark.parametrize(("metric", "mode"), [(Nelbo(), "diffusion"), (Likelihood(), "ar")])
def test_no_bits_a_byte_of_texts_that_tokens_lose(metric, mode):
    """What a tokenizer drops need not be predicted, so it would seem the better for it."""
    evidence = tiny_evidence(mode=mode)
    lost = attrs.evolve(evidence, held_out=attrs.evolve(evidence.held_out, exact=False))
    whole = metric.measure(evidence)

    assert lost.bits_per_byte(Estimate(1.0)) is None
    (name,) = metric.measure(lost)
    assert {name, f"{name}_bpb"} == set(whole)
    assert whole[name] == metric.measure(lost)[name]
