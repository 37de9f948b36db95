"""What every history of runs must do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import torch
from attrs import field, frozen

from aios_core.config import resolve
from aios_core.contracts import Adaptation
from aios_core.diffusion.model import Model
from aios_core.errors import AIOSError, EvolutionError, PluginError
from aios_core.scaffold.examples.level import Bias
from aios_core.scaffold.examples.tokenizer import Utf8
from aios_core.testing.contracts.base import Contract, expect
from aios_core.testing.contracts.reader import damaged
from aios_core.testing.modules import stir
from aios_core.training.digest import model_digest, tensor_digest
from aios_core.training.history import keeper

if TYPE_CHECKING:
    from aios_core.contracts import EvolutionLevel, History, Network, TrainedTokenizer

MOST = 12
"""Damaged copies of each file that are looked at."""


def network(seed: int = 0) -> Model:
    """A network that is small, and never trained.

    Args:
        seed: of what makes it another one.
    """
    values = {"backbone": {"dim": 8, "layers": 1, "heads": 1}, "diffusion": {"length": 8}}
    tokens: Any = Utf8().train(())  # type: ignore[no-untyped-call]
    model: Model = stir(Model.build(resolve(values).config, tokens.vocabulary))
    with torch.no_grad():
        next(model.parameters()).add_(seed)
    return model


def learned(seed: int) -> Adaptation:
    """What the level ``"bias"`` might have learned."""
    shift = torch.randn(260, generator=torch.Generator().manual_seed(seed))
    return Adaptation({}, {"shift": shift}, 260)


def answer(model: Network) -> str:
    """Digest of its tensors, and of what it says: a level may put what it learned elsewhere."""
    x, t = torch.arange(32).view(4, 8), torch.linspace(0.1, 1, 4).double()
    with torch.no_grad():
        return f"{model_digest(model)} {tensor_digest(model(x, t))}"


@frozen(eq=False)
class Trained:
    """A run, as a history sees it."""

    run_folder: Path
    model: Model = field(factory=network)
    tokenizer: TrainedTokenizer = field(factory=lambda: Utf8().train(()))  # type: ignore[no-untyped-call]

    def level(self, name: str) -> EvolutionLevel:
        """The only one that is installed is ``"bias"``."""
        if name != "bias":
            raise PluginError(f"no level is called {name!r}")
        return Bias()


class HistoryContract(Contract["History"]):
    """Subclass it and set ``component``: a history's class, or one that is built."""

    @pytest.fixture
    def trained(self, tmp_path: Path) -> Trained:
        """A run that has no version."""
        (tmp_path / "run").mkdir()
        return Trained(tmp_path / "run")

    @pytest.fixture
    def kept(self, instance: History, trained: Trained) -> tuple[str, str]:
        """Ids of two versions of the run, one on top of the other."""
        first = expect(instance.keep(trained, "bias", learned(1)), str, "keep")
        return first, instance.keep(trained, "bias", learned(2))

    def test_is_built_without_values(self, instance: History) -> None:
        """No configuration holds one, so its fields have defaults."""
        type(instance)()

    def test_a_new_run_has_no_version(self, instance: History, trained: Trained) -> None:
        """It is as it was trained; whoever looks writes nothing."""
        run = trained.run_folder
        assert not instance.versions(run)
        assert instance.find(run) is None
        assert instance.find(run, "base") is None
        assert not instance.faults(trained)
        assert not list(run.iterdir()), "looking at a run wrote into its folder"

    def test_the_head_is_what_was_kept_last(
        self, instance: History, trained: Trained, kept: tuple[str, str]
    ) -> None:
        """Known by its id, and the run as it was trained by ``"base"``; each version once."""
        run = trained.run_folder
        assert sorted(kept) == sorted(instance.versions(run))
        assert kept[0] != kept[1]
        assert kept[1] == instance.find(run), "the head is not the version that was kept last"
        assert kept == tuple(instance.find(run, version) for version in kept)
        assert instance.find(run, "base") is None
        assert not instance.faults(trained), f"sound files: {instance.faults(trained)}"

    def test_the_folder_says_whose_it_is(
        self, instance: History, trained: Trained, kept: tuple[str, str]
    ) -> None:
        """And all that was written lies in it."""
        assert instance.name == keeper(trained.run_folder), "the folder names another history"
        assert ["evolution"] == [path.name for path in trained.run_folder.iterdir()]

    def test_a_version_is_what_was_kept(
        self, instance: History, trained: Trained, kept: tuple[str, str]
    ) -> None:
        """Bit for bit, with all before it; the network as it was trained stays."""
        before = model_digest(trained.model)
        for version, expected in zip(kept, _networks(trained), strict=True):
            for reader in (instance, type(instance)()):
                network = reader.at(trained, version)
                assert expected == answer(network), "another network than was kept"
                assert not network.training
        assert before == model_digest(trained.model), "the network as it was trained was changed"

    def test_another_network_is_refused(
        self, instance: History, trained: Trained, kept: tuple[str, str]
    ) -> None:
        """A version is of the network that it was learned on."""
        with pytest.raises(EvolutionError):
            instance.at(attrs.evolve(trained, model=network(1)), kept[0])

    @pytest.mark.parametrize("name", ["", "no-such-version", "../run", "/", "\0", "x" * 9999])
    def test_an_unknown_name_is_refused(
        self, instance: History, trained: Trained, kept: tuple[str, str], name: str
    ) -> None:
        """No path leaves the folder."""
        with pytest.raises(EvolutionError):
            instance.find(trained.run_folder, name)

    def test_what_does_not_fit_is_not_kept(
        self, instance: History, trained: Trained, kept: tuple[str, str]
    ) -> None:
        """Another shape, and a level that is not installed; the head stays where it was."""
        wrong = attrs.evolve(learned(3), tensors={"shift": torch.ones(3)})
        for level, adaptation in (("bias", wrong), ("no-such-level", learned(3))):
            with pytest.raises(AIOSError):
                instance.keep(trained, level, adaptation)
        assert kept[1] == instance.find(trained.run_folder)
        assert _networks(trained)[1] == answer(instance.at(trained, kept[1]))

    def test_damaged_files_are_refused_or_read(
        self, instance: History, trained: Trained, kept: tuple[str, str], tmp_path: Path
    ) -> None:
        """Whatever bytes they hold: the network that was kept, or an error that says why not."""
        sound, expected = trained.run_folder, dict(zip(kept, _networks(trained), strict=True))
        files = [path.relative_to(sound) for path in sorted(sound.rglob("*")) if path.is_file()]
        for file in files:
            for number, content in enumerate(damaged((sound / file).read_bytes() or b"\0")):
                if number >= MOST:
                    break
                other = tmp_path / "other"
                shutil.copytree(sound, other)
                (other / file).write_bytes(content)
                self._look(instance, attrs.evolve(trained, run_folder=other), expected, file)
                shutil.rmtree(other)

    def test_a_missing_file_is_missed(
        self, instance: History, trained: Trained, kept: tuple[str, str], tmp_path: Path
    ) -> None:
        """A version of which a file is gone is refused, or it is what was kept."""
        sound, expected = trained.run_folder, dict(zip(kept, _networks(trained), strict=True))
        for file in [path for path in sorted(sound.rglob("*")) if path.is_file()]:
            other = tmp_path / "other"
            shutil.copytree(sound, other)
            (other / file.relative_to(sound)).unlink()
            run = attrs.evolve(trained, run_folder=other)
            for version, digest in expected.items():
                self._is_it(instance, run, version, digest, file)
            shutil.rmtree(other)

    def _look(self, instance: History, run: Trained, expected: dict[str, str], file: Path) -> None:
        """At the head, which a damaged file never turns into the network as it was trained."""
        try:
            head = instance.find(run.run_folder)
        except AIOSError:
            return
        assert head is not None, f"{file} is damaged, and the run is as it was trained"
        instance.faults(run)
        for version, digest in expected.items():
            self._is_it(instance, run, version, digest, file)
        if head not in expected:
            with pytest.raises(AIOSError):
                instance.at(run, head)

    def _is_it(
        self, instance: History, run: Trained, version: str, digest: str, file: Path
    ) -> None:
        try:
            network = instance.at(run, version)
        except AIOSError:
            return
        assert digest == answer(network), f"{file} is damaged, and gives another network"


def _networks(trained: Trained) -> tuple[str, str]:
    """What the networks of two versions say, one on top of the other."""
    first = Bias().apply(trained.model, learned(1))  # type: ignore[no-untyped-call]
    second = Bias().apply(first, learned(2))  # type: ignore[no-untyped-call]
    return answer(first), answer(second)
