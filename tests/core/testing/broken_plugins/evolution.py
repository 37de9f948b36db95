"""Broken parts of an evolution: levels, policies, histories, estimators."""

import torch
from attrs import evolve
from safetensors.torch import load

from aios_core.contracts import Adaptation
from aios_core.errors import EvolutionError
from aios_core.scaffold.examples.history import Line, _read
from aios_core.scaffold.examples.level import Bias
from aios_core.scaffold.examples.policy import Largest
from aios_core.scaffold.examples.uncertainty import Surprise
from aios_core.training.digest import model_digest
from broken_plugins.offers import CALLS, offer


@offer("level", "touching")
class Touching(Bias):
    name = "touching"

    def adapt(self, model, experience, budget):
        with torch.no_grad():
            next(model.parameters()).add_(1)
        return super().adapt(model, experience, budget)


@offer("level", "greedy")
class Greedy(Bias):
    name = "greedy"

    def adapt(self, model, experience, budget):
        adaptation = super().adapt(model, experience, evolve(budget, share=1.0))
        return evolve(adaptation, parameters=model.num_parameters())


@offer("level", "trusting")
class Trusting(Bias):
    name = "trusting"

    def apply(self, model, adaptation):
        return self._with(model, adaptation.tensors["shift"].flatten()[: model.vocabulary.size])


@offer("policy", "stubborn")
class Stubborn(Largest):
    def choose(self, situation):
        return super().choose(evolve(situation, failed=()))


@offer("policy", "idle")
class Idler(Largest):
    def choose(self, situation):
        return super().choose(situation) if situation.measure() > 0 else []


@offer("policy", "forgetful")
class Alternating(Largest):
    def choose(self, situation):
        CALLS.append("chosen")
        return super().choose(situation)[:: 1 - 2 * (len(CALLS) % 2)]


@offer("history", "gentle")
class Gentle(Line):
    def at(self, trained, version):
        try:
            return super().at(trained, version)
        except EvolutionError:
            return trained.model


@offer("history", "nameless")
class NamelessHistory(Line):
    def keep(self, trained, level, adaptation):
        kept = super().keep(trained, level, adaptation)
        if kept == "2":
            (trained.run_folder / "evolution" / "history").unlink()
        return kept


@offer("history", "trusting")
class TrustingHistory(Line):
    def at(self, trained, version):
        model = trained.model
        for number in range(1, int(version) + 1):
            folder = trained.run_folder / "evolution" / str(number)
            (shift,) = load((folder / "tensors").read_bytes()).values()
            model = trained.level("bias").apply(model, Adaptation({}, {"shift": shift}, 260))
        return model.eval()


@offer("history", "flat")
class Flat(Line):
    def at(self, trained, version):
        if int(version) == 0:
            return trained.model
        level, adaptation = _read(
            trained.run_folder / "evolution" / str(version), model_digest(trained.model)
        )
        return trained.level(level).apply(trained.model, adaptation).eval()


@offer("uncertainty", "mean")
class MeanSurprise(Surprise):
    def measure(self, level):
        return super().measure(level).mean()


@offer("uncertainty", "endless")
class Endless(Surprise):
    def measure(self, level):
        return -(level.log_probs.exp() * level.log_probs).sum(-1)


@offer("uncertainty", "confidence")
class Confidence(Surprise):
    def measure(self, level):
        return -super().measure(level).clamp(max=99)
