"""LoRA beside the real PEFT, where it is installed: files of either are read by the other."""

import copy

import pytest
import torch

from aios_core.config import resolve
from aios_core.contracts import Budget, Experience, Vocabulary, Windows
from aios_core.diffusion.model import Model
from aios_core.evolution.card import CONFIG, WEIGHTS, read_adaptation, save_adaptation
from aios_plugins.evolution.lora import Lora

peft = pytest.importorskip("peft")

VOCABULARY = Vocabulary(size=20, mask_id=16, pad_id=17, bos_id=18, eos_id=19)
X, T = torch.arange(32).view(4, 8) % 16, torch.tensor([1.0, 0.7, 0.3, 0.1]).double()


@pytest.fixture(scope="module")
def model():
    values = {"backbone": {"dim": 16, "layers": 2, "heads": 2}, "diffusion": {"length": 8}}
    return Model.build(resolve(values).config, VOCABULARY).eval()


def learned(model, **fields):
    windows = Windows(X, torch.ones_like(X, dtype=torch.bool))
    budget = Budget(share=1.0, steps=10, batch_size=4)
    return Lora(**fields).adapt(model, Experience(windows, windows), budget)


def in_peft(model, folder):
    """PEFT's model with the adapter of a folder; it changes the modules that it is given."""
    return peft.PeftModel.from_pretrained(copy.deepcopy(model), folder).eval()


@pytest.mark.parametrize("targets", [(), ("qkv", "out")])
def test_peft_reads_what_we_write(model, tmp_path, targets):
    ours = learned(model, rank=2, targets=targets)
    save_adaptation(tmp_path, ours)
    theirs = in_peft(model, tmp_path)

    assert not torch.equal(model(X, T), Lora().apply(model, ours)(X, T))
    torch.testing.assert_close(theirs(X, T), Lora().apply(model, ours)(X, T))


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"lora_alpha": 3, "r": 5}])
def test_we_read_what_peft_writes(model, tmp_path, options):
    config = peft.LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": ["qkv", "up"], "init_lora_weights": False}
        | options
    )
    theirs = peft.get_peft_model(copy.deepcopy(model), config).eval()
    theirs.save_pretrained(tmp_path)

    assert {CONFIG, WEIGHTS} <= {path.name for path in tmp_path.iterdir()}
    ours = Lora().apply(model, read_adaptation(tmp_path))
    assert not torch.allclose(model(X, T), ours(X, T), atol=1e-3)
    torch.testing.assert_close(theirs(X, T), ours(X, T))


def test_a_merge_is_what_peft_makes_of_both(model, tmp_path):
    """``add_weighted_adapter`` with ``cat``, by weights that PEFT takes the same way."""
    one, two = learned(model, rank=2), learned(model, rank=3, alpha=0.5)
    for name, adaptation in (("one", one), ("two", two)):
        (tmp_path / name).mkdir()
        save_adaptation(tmp_path / name, adaptation)
    theirs = peft.PeftModel.from_pretrained(
        copy.deepcopy(model), tmp_path / "one", adapter_name="one"
    )
    theirs.load_adapter(tmp_path / "two", adapter_name="two")
    theirs.add_weighted_adapter(["one", "two"], [0.7, 0.3], "both", combination_type="cat")
    theirs.set_adapter("both")
    ours = Lora().apply(model, Lora().merge([(one, 0.7), (two, 0.3)]))

    torch.testing.assert_close(theirs.eval()(X, T), ours(X, T))


def test_adapters_that_need_more_are_refused(model, tmp_path):
    from aios_core.errors import EvolutionError

    config = peft.LoraConfig(r=2, target_modules=["qkv"], use_dora=True)
    peft.get_peft_model(copy.deepcopy(model), config).save_pretrained(tmp_path)
    with pytest.raises(EvolutionError, match="use_dora"):
        Lora().apply(model, read_adaptation(tmp_path))
