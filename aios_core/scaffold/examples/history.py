"""A history: one class and the hook that offers it."""

import json

from attrs import frozen
from safetensors import SafetensorError
from safetensors.torch import load, save

import aios_core
from aios_core.contracts import Adaptation, History
from aios_core.errors import EvolutionError
from aios_core.files import new_folder
from aios_core.training.digest import model_digest, tensors_digest
from aios_core.training.history import claim

AIOS_API = 1


@frozen
class Line(History):
    """Versions 1, 2, 3, ... each on top of the one before it; the last one is the head."""

    name = "line"

    def versions(self, run):
        """Their numbers."""
        names = [path.name for path in (run / "evolution").glob("*") if path.name.isdecimal()]
        return sorted(names, key=int)

    def find(self, run, name=None):
        """A number, or the last one."""
        there = self.versions(run)
        if name == "base" or (name is None and not there):
            return None
        if name is not None and name not in there:
            raise EvolutionError(f"{run}: expected a version of {there}, got {name!r:.80}")
        return name or there[-1]

    def at(self, trained, version):
        """The network with one version after the other."""
        model, base = trained.model, model_digest(trained.model)
        for number in range(1, int(version) + 1):
            level, adaptation = _read(trained.run_folder / "evolution" / str(number), base)
            model = trained.level(level).apply(model, adaptation)
        return model.eval()

    def keep(self, trained, level, adaptation):
        """The next number."""
        head = len(self.versions(trained.run_folder))
        trained.level(level).apply(self.at(trained, head), adaptation)  # or it is refused
        facts = {"level": level, "config": adaptation.config, "parameters": adaptation.parameters}
        facts |= {"base": model_digest(trained.model), "sha256": tensors_digest(adaptation.tensors)}
        try:
            folder = claim(trained.run_folder, self.name)
            with new_folder(folder / str(head + 1)) as version:
                (version / "version.json").write_text(json.dumps(facts, allow_nan=False))
                (version / "tensors").write_bytes(save(adaptation.tensors))
        except (OSError, ValueError) as error:
            raise EvolutionError(f"the version cannot be written: {error}") from error
        return str(head + 1)

    def faults(self, trained):
        """Of every version."""
        try:
            for version in self.versions(trained.run_folder):
                self.at(trained, version)
        except EvolutionError as error:
            return [str(error)]
        return []


def _read(folder, base):
    """The level of a version, and what it learned."""
    try:
        facts = json.loads((folder / "version.json").read_text())
        tensors = load((folder / "tensors").read_bytes())
        wrong = (facts["base"], facts["sha256"]) != (base, tensors_digest(tensors))
        adaptation = Adaptation(facts["config"], tensors, facts["parameters"])
        level = facts["level"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise EvolutionError(f"{folder}: cannot be read: {error!r}") from error
    if wrong:
        raise EvolutionError(f"{folder}: was changed, or is of another network")
    return level, adaptation


@aios_core.hookimpl
def aios_histories():
    """Names, and the classes they stand for."""
    return {"line": Line}
