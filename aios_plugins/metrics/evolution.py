"""What a model gains and loses when one evolution level adapts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from attrs import frozen

from aios_core.contracts import Estimate, Evidence, Metric

if TYPE_CHECKING:
    from aios_core.config.schema import Config


@frozen
class Evolution(Metric):
    """Adapts the model by ``evolution.level`` to the evidence, and measures it on other texts.

    The model itself stays as it is, and nothing is kept. Measured on the report split, with base
    and candidate on the same draws: ``target_gain`` is how many nats a token the evidence's domain
    has become likelier, ``base_loss`` how many the model's own has become less likely.
    """

    of: ClassVar = "model"
    better: ClassVar = {"target_gain": "higher", "base_loss": "lower"}
    units: ClassVar = {
        "target_gain": "nats/token",
        "base_loss": "nats/token",
        "adapted_share": "%",
        "adaptation_bytes": "B",
        "adaptation_seconds": "s",
    }

    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """Nothing where no level is named."""
        from aios_plugins.evolution.proposal import propose
        from aios_plugins.evolution.splits import split

        config, model = cast("Config", evidence.config), evidence.model
        if config.evolution.level is None:
            return {}
        (level,) = (choice for choice in config.levels if choice.name == config.evolution.level)
        proposal = propose(level, model, split(config, evidence.tokenizer), config)
        target, base = proposal.report.target, proposal.report.base
        tensors = proposal.adaptation.tensors.values()
        return {
            "target_gain": Estimate(-target.delta, target.stderr),
            "base_loss": Estimate(base.delta, base.stderr),
            "adapted_share": Estimate(
                100 * proposal.adaptation.parameters / model.num_parameters()
            ),
            "adaptation_bytes": Estimate(
                sum(tensor.numel() * tensor.element_size() for tensor in tensors)
            ),
            "adaptation_seconds": Estimate(proposal.seconds),
            "accepted": Estimate(float(proposal.verdict.accepted)),
        }
