"""LoRA beside the real PEFT, where it is installed: files of either are read by the other."""

import copy
import dataclasses
import json
import warnings

import pytest
import torch

from aios_core.config import resolve
from aios_core.contracts import Adaptation, Budget, Experience, Vocabulary, Windows
from aios_core.diffusion.model import Model
from aios_core.errors import EvolutionError
from aios_plugins.evolution.card import CONFIG, WEIGHTS, read_adaptation, save_adaptation
from aios_plugins.levels.lora import Lora

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
    first, second = learned(model, rank=2), learned(model, rank=3, alpha=0.5)
    for name, adaptation in (("one", first), ("two", second)):
        (tmp_path / name).mkdir()
        save_adaptation(tmp_path / name, adaptation)
    theirs = peft.PeftModel.from_pretrained(
        copy.deepcopy(model), tmp_path / "one", adapter_name="one"
    )
    theirs.load_adapter(tmp_path / "two", adapter_name="two")
    theirs.add_weighted_adapter(["one", "two"], [0.7, 0.3], "both", combination_type="cat")
    theirs.set_adapter("both")
    ours = Lora().apply(model, Lora().merge([(first, 0.7), (second, 0.3)]))

    torch.testing.assert_close(theirs.eval()(X, T), ours(X, T))


def test_adapters_that_need_more_are_refused(model, tmp_path):
    config = peft.LoraConfig(r=2, target_modules=["qkv"], use_dora=True)
    peft.get_peft_model(copy.deepcopy(model), config).save_pretrained(tmp_path)
    with pytest.raises(EvolutionError, match="use_dora"):
        Lora().apply(model, read_adaptation(tmp_path))


VALUES = {
    "alora_invocation_tokens": [[1, 2]],
    "alpha_pattern": [{"qkv": 3}, {"other": 3}],
    "auto_mapping": [{"base_model_class": "Other", "parent_library": "x"}],
    "base_model_name_or_path": ["a/model"],
    "bias": ["all", "lora_only"],
    "exclude_modules": [["head"], ["qkv"], "head"],
    "fan_in_fan_out": [True],
    "inference_mode": [True],
    "init_lora_weights": [False, "gaussian", "orthogonal", "mica", "olora", "pissa"],
    "layers_pattern": ["blocks"],
    "layers_to_transform": [[0, 1]],
    "lora_alpha": [3, 0.5, -8],
    "lora_bias": [True],
    "lora_dropout": [0.5],
    "modules_to_save": [["head"]],
    "qalora_group_size": [2],
    "r": [5],
    "rank_pattern": [{"qkv": 2}],
    "target_modules": [["qkv"], "all-linear", ".*(qkv|up)"],
    "target_parameters": [["head.weight"]],
    "task_type": ["FEATURE_EXTRACTION"],
    "trainable_token_indices": [[1]],
    "use_dora": [True],
    "use_rslora": [True],
}
"""Values that are not the default, of the fields that can be set one by one."""


@pytest.fixture(scope="module")
def theirs(model, tmp_path_factory):
    """A folder with an adapter that PEFT wrote, which changes what the model says."""
    torch.manual_seed(0)
    made = peft.get_peft_model(
        copy.deepcopy(model), peft.LoraConfig(r=4, target_modules=["qkv", "up"])
    )
    for name, tensor in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(tensor)
    folder = tmp_path_factory.mktemp("theirs")
    made.save_pretrained(folder)
    return folder


def taken(model, adaptation):
    """Our model with an adapter, or None and why it was refused."""
    try:
        return Lora().apply(model, adaptation), ""
    except EvolutionError as error:
        return None, str(error)


@pytest.mark.parametrize(
    "name", [attribute.name for attribute in dataclasses.fields(peft.LoraConfig)]
)
def test_every_field_of_peft_is_done_as_it_does_it_or_refused(model, theirs, name):
    """Fault T4: a field of a later version, which no list here can know, is among the refused."""
    adaptation = read_adaptation(theirs)
    assert name in {*adaptation.config, "runtime_config"}, "PEFT writes every other field"
    for value in VALUES.get(name, [{"something": 1}, True]):
        changed = adaptation.config | {name: value}
        if name == "layers_pattern":
            changed["layers_to_transform"] = [0, 1]
        ours, message = taken(model, Adaptation(changed, adaptation.tensors, 0))
        if ours is None:
            assert name == "r" or name in message
            continue
        (theirs / CONFIG).write_text(json.dumps(changed))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PEFT's own, about options at odds
                answer = in_peft(model, theirs).base_model.model(X, T)
        finally:
            (theirs / CONFIG).write_text(json.dumps(adaptation.config))
        torch.testing.assert_close(answer, ours(X, T), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "init", [True, "gaussian", "orthogonal", "mica", "olora", "pissa", "pissa_niter_4"]
)
def test_an_untrained_adapter_changes_nothing_or_is_refused(model, tmp_path, init):
    """Fault T4: PiSSA and its kin change the weight beside the update, which no file holds."""
    config = peft.LoraConfig(r=2, target_modules=["qkv"], init_lora_weights=init)
    made = peft.get_peft_model(copy.deepcopy(model), config).eval()
    made.save_pretrained(tmp_path)
    ours, message = taken(model, read_adaptation(tmp_path))
    if init not in {True, "gaussian", "orthogonal", "mica"}:
        assert f"init_lora_weights = '{init}'" in message
        return
    torch.testing.assert_close(made(X, T), ours(X, T), rtol=1e-5, atol=1e-5)
