"""What every metric must do."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs
import pytest
import torch

from aios_core.config import resolve
from aios_core.contracts import Completion, Evidence, Row, Samples, Segment
from aios_core.diffusion.model import Model
from aios_core.testing.contracts.base import Contract, expect
from aios_core.training import token_rows
from aios_core.training.layout import Framing
from aios_core.training.tokens import Tokens

if TYPE_CHECKING:
    from aios_core.contracts import Metric

TEXT = "The quick brown fox jumps over the lazy dog, and the dog sleeps on. " * 3


def tiny_evidence(text: str = TEXT, *, mode: str = "diffusion", length: int = 16) -> Evidence:
    """An untrained network of bytes, its twin, some held-out text and as much of it as samples.

    Args:
        text: the held-out text.
        mode: of the network: ``"diffusion"`` or ``"ar"``.
        length: of windows and samples, in tokens.
    """
    config = resolve(
        {
            "mode": mode,
            "tokenizer": {"type": "bytes"},
            "backbone": {"type": "transformer", "dim": 16, "layers": 1, "heads": 2},
            "diffusion": {"length": length},
            "evaluation": {"batch_size": 3, "draws": 2},
        }
    ).config
    tokenizer = config.tokenizer.train([])
    with tempfile.TemporaryDirectory() as folder:
        token_rows.write(Path(folder), [Row.of(text)], tokenizer)
        rows = token_rows.read(Path(folder), tokenizer.vocabulary, mapped=False)
    held_out = Tokens(rows, len(text.encode()), "text", Framing.of(config))
    sequences = held_out.sequences()
    sequences = sequences[sequences.valid.all(-1)]
    texts = tuple(tokenizer.decode_batch(sequences.ids.numpy()))
    twin = Model.build(attrs.evolve(config, mode="ar"), tokenizer.vocabulary)
    return Evidence(
        config=config,
        model=Model.build(config, tokenizer.vocabulary).eval(),
        tokenizer=tokenizer,
        held_out=held_out,
        samples=Samples(sequences, texts, nfe=4, seconds=0.1, dtype="float64"),
        twin=twin.eval(),
    )


class MetricContract(Contract["Metric"]):
    """Subclass it and set ``component``: a metric's class, or one that is built."""

    varied: ClassVar = {"test_gives_finite_estimates": {"mode": "diffusion"}}

    @classmethod
    def try_out(cls, plugin: Metric) -> None:
        """Values by name."""
        expect(plugin.measure(tiny_evidence()), dict, "measure")

    @pytest.mark.parametrize("mode", ["diffusion", "ar"])
    def test_gives_finite_estimates(self, instance: Metric, mode: str) -> None:
        """Of either kind of network; none says that it does not apply."""
        for name, estimate in instance.measure(tiny_evidence(mode=mode)).items():
            assert math.isfinite(estimate.value), name
            assert estimate.stderr is None or estimate.stderr >= 0, name

    def test_measures_what_it_says(self, instance: Metric) -> None:
        """Once a checkpoint or once a trial; units and directions are of values that it has."""
        assert instance.of in ("model", "samples")
        assert set(instance.better.values()) <= {"lower", "higher", "nearer"}
        assert all(isinstance(unit, str) for unit in instance.units.values())

    def test_is_repeatable(self, instance: Metric) -> None:
        """The same evidence gives the same values, whatever the state of torch's generator."""
        torch.manual_seed(0)
        first = instance.measure(tiny_evidence())
        torch.manual_seed(1)
        before = torch.get_rng_state()
        assert first == instance.measure(tiny_evidence())
        assert before.equal(torch.get_rng_state())

    def test_changes_nothing(self, instance: Metric) -> None:
        """The network is as it was, and so are the samples."""
        evidence = tiny_evidence()
        assert evidence.samples is not None
        weights = {name: p.clone() for name, p in evidence.model.named_parameters()}
        ids = evidence.samples.ids.clone()
        instance.measure(evidence)
        assert all(p.equal(weights[name]) for name, p in evidence.model.named_parameters())
        assert all(p.grad is None for p in evidence.model.parameters())
        assert not evidence.model.training
        assert ids.equal(evidence.samples.ids)

    def test_takes_samples_of_given_parts(self, instance: Metric) -> None:
        """Where rows give parts, each sample stands beside the row that it was made from."""
        evidence = tiny_evidence()
        assert evidence.samples is not None
        completions = tuple(
            Completion(Row((Segment("prompt", t[:2], "given"), Segment("answer", t[2:]))), t, t[2:])
            for t in evidence.samples.texts
        )
        samples = attrs.evolve(evidence.samples, completions=completions)
        for name, estimate in instance.measure(attrs.evolve(evidence, samples=samples)).items():
            assert math.isfinite(estimate.value), name

    def test_does_without_a_twin(self, instance: Metric) -> None:
        """It may have been switched off."""
        instance.measure(attrs.evolve(tiny_evidence(), twin=None))
