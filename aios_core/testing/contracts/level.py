"""What every evolution level must do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest
import torch
from safetensors.torch import load, save

from aios_core.config import resolve
from aios_core.contracts import Budget, Experience, Vocabulary, Windows
from aios_core.diffusion.model import Model
from aios_core.errors import EvolutionError
from aios_core.scaffold.examples.conditioner import Opening
from aios_core.testing.contracts.base import Contract
from aios_core.testing.modules import stir
from aios_core.training.digest import model_digest, tensors_digest
from aios_core.training.fitting import score

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Adaptation, Conditioner, EvolutionLevel

VOCABULARY = Vocabulary(size=20, mask_id=16, pad_id=17, bos_id=18, eos_id=19)
BUDGET = Budget(share=1.0, steps=40, batch_size=8)


class LevelContract(Contract["EvolutionLevel"]):
    """Subclass it and set ``component``: a level's class, or one that is built."""

    varied: ClassVar = {"test_the_budget_is_kept": {}}

    @pytest.fixture(scope="class")
    @classmethod
    def learned(cls, instance: EvolutionLevel) -> tuple[Model, Adaptation, str]:
        """A model, what was learned on it, and the digest that it had before."""
        model = _model()
        before = model_digest(model)
        return model, instance.adapt(model, _experience(), BUDGET), before

    def test_the_model_itself_is_left_alone(
        self, instance: EvolutionLevel, learned: tuple[Model, Adaptation, str]
    ) -> None:
        """By both methods: its tensors, flags, gradients, mode and answers."""
        model, adaptation, before = learned
        x, t = _experience().target.ids, torch.rand(64).double()
        answer = model(x, t)
        adapted = instance.apply(model, adaptation)
        assert before == model_digest(model)
        assert torch.equal(answer, model(x, t))
        assert not model.training
        assert all(p.requires_grad and p.grad is None for p in model.parameters())
        assert adapted is not model

    def test_it_learns(
        self, instance: EvolutionLevel, learned: tuple[Model, Adaptation, str]
    ) -> None:
        """What it learned from is never less likely than before, but for noise."""
        model, adaptation, _ = learned
        adapted, target = instance.apply(model, adaptation), _experience().target
        before, after = (score(m, target, draws=4, seed=1).sum() for m in (model, adapted))
        assert after <= before + 0.02 * abs(before)

    def test_the_same_experience_gives_the_same_bits(
        self, instance: EvolutionLevel, learned: tuple[Model, Adaptation, str]
    ) -> None:
        """Whatever torch's own generator has drawn since."""
        torch.manual_seed(5)
        again = attrs.evolve(instance).adapt(_model(), _experience(), BUDGET)  # type: ignore[misc]
        assert learned[1].config == again.config
        assert tensors_digest(learned[1].tensors) == tensors_digest(again.tensors)

    def test_files_hold_all_of_it(
        self, instance: EvolutionLevel, learned: tuple[Model, Adaptation, str]
    ) -> None:
        """JSON and safetensors, read by an instance of defaults on another copy of the model."""
        model, adaptation, _ = learned
        read = attrs.evolve(
            adaptation,
            config=json.loads(json.dumps(adaptation.config, allow_nan=False)),
            tensors=load(save(adaptation.tensors)),
        )
        first = instance.apply(model, adaptation)
        second = type(instance)().apply(_model(), read)
        assert model_digest(first) == model_digest(second)
        x, t = _experience().target.ids, torch.rand(64).double()
        assert torch.equal(first(x, t), second(x, t))

    def test_the_budget_is_kept(self, instance: EvolutionLevel) -> None:
        """Or it is refused."""
        model, small = _model(), Budget(share=0.05, steps=2, batch_size=4)
        try:
            adaptation = instance.adapt(model, _experience(), small)
        except EvolutionError:
            return
        assert adaptation.parameters <= 0.05 * model.num_parameters()

    def test_it_stacks(
        self, instance: EvolutionLevel, learned: tuple[Model, Adaptation, str]
    ) -> None:
        """An adapted model can be adapted again, and both are as they were without the second."""
        model, adaptation, _ = learned
        first = instance.apply(model, adaptation).eval()
        before = model_digest(first)
        budget = attrs.evolve(BUDGET, steps=2)
        second = instance.apply(first, instance.adapt(first, _experience(1), budget))
        assert before == model_digest(first)
        logits = second(_experience().target.ids, torch.rand(64).double())
        assert logits[..., : VOCABULARY.mask_id].isfinite().all()

    def test_it_is_asked_as_the_model_is(self, instance: EvolutionLevel) -> None:
        """For a part of the text, as block by block, and with cues, which still matter."""
        model, budget = _model(Opening()), attrs.evolve(BUDGET, steps=2)
        adapted = instance.apply(model, instance.adapt(model, _experience(), budget)).eval()
        x, t = torch.full((3, 8), VOCABULARY.mask_id), torch.ones(3).double()
        opening: Any = Opening()
        source = opening.open(resolve({}).config, None)
        begun = torch.tensor([[VOCABULARY.bos_id, kind] for kind in (1, 2, 3)])
        heard = adapted.conditioned(source.for_evaluation(begun))
        for changed in (adapted, heard):
            denoiser = changed.denoiser()
            torch.testing.assert_close(denoiser(x, t)[:, 2:5], denoiser.part(x, t, 2, 5))
        assert not torch.allclose(adapted(x, t), heard(x, t), atol=1e-4)

    def test_what_does_not_fit_is_refused(
        self, instance: EvolutionLevel, learned: tuple[Model, Adaptation, str]
    ) -> None:
        """A tensor too many or of another shape; a configuration that says nothing."""
        model, adaptation, _ = learned
        for name, tensor in list(adaptation.tensors.items())[:2]:
            wrong = adaptation.tensors | {name: torch.ones(*tensor.shape, 3)}
            with pytest.raises(EvolutionError):
                instance.apply(model, attrs.evolve(adaptation, tensors=wrong))
        strange = adaptation.tensors | {"no.such.tensor": torch.ones(2)}
        with pytest.raises(EvolutionError):
            instance.apply(model, attrs.evolve(adaptation, tensors=strange))

    def test_no_evidence_is_refused(self, instance: EvolutionLevel) -> None:
        """There is nothing to learn from nothing."""
        nothing = Windows(torch.empty(0, 8, dtype=torch.long), torch.empty(0, 8, dtype=torch.bool))
        with pytest.raises(EvolutionError, match="evidence"):
            instance.adapt(_model(), attrs.evolve(_experience(), target=nothing), BUDGET)


def _model(conditioner: Conditioner | None = None, **sections: Any) -> Model:
    values = {"backbone": {"dim": 16, "layers": 2, "heads": 2}, "diffusion": {"length": 8}}
    values |= sections
    config: Any = resolve(values).config
    if conditioner is not None:
        config = attrs.evolve(config, conditioner=conditioner)
    model: Model = stir(Model.build(config, VOCABULARY))
    return model


def _experience(seed: int = 0) -> Experience:
    """Rows that count up, to learn; and rows that count down, to replay."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(16, (64, 1), generator=generator)
    return Experience(_rows(starts + torch.arange(8)), _rows(starts - torch.arange(8)), seed)


def _rows(ids: Tensor) -> Windows:
    ids = ids % 16
    return Windows(ids, torch.ones_like(ids, dtype=torch.bool))
