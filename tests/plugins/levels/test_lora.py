"""LoRA beside its contract: the format of PEFT, and what of it is refused."""

import attrs
import pytest
import torch

from aios_core.config import resolve
from aios_core.contracts import Adaptation, Budget, Experience, Vocabulary, Windows
from aios_core.diffusion.model import Model
from aios_core.errors import EvolutionError
from aios_plugins.levels.lora import Lora

VOCABULARY = Vocabulary(size=20, mask_id=16, pad_id=17, bos_id=18, eos_id=19)


@pytest.fixture(scope="module")
def model():
    values = {"backbone": {"dim": 16, "layers": 2, "heads": 2}, "diffusion": {"length": 8}}
    return Model.build(resolve(values).config, VOCABULARY).eval()


@pytest.fixture(scope="module")
def experience():
    ids = torch.arange(64).view(8, 8) % 16
    windows = Windows(ids, torch.ones_like(ids, dtype=torch.bool))
    return Experience(windows, windows)


@pytest.fixture(scope="module")
def learned(model, experience):
    return Lora(rank=2).adapt(model, experience, Budget(share=1.0, steps=5, batch_size=4))


def test_an_untrained_update_changes_no_bit(model, experience):
    adaptation = Lora(rank=2).adapt(model, experience, Budget(share=1.0, steps=0))
    x, t = experience.target.ids, torch.rand(8).double()

    assert torch.equal(model(x, t), Lora().apply(model, adaptation)(x, t))


def test_an_update_begins_as_in_peft(model, experience):
    """A uniform within 1/sqrt(in), B zero; of every linear layer but the one that decodes."""
    new = Lora(rank=4).adapt(model, experience, Budget(share=1.0, steps=0))
    layers = {key.rpartition(".lora_")[0] for key in new.tensors}
    linear = {n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}

    assert {f"base_model.model.{n}" for n in linear if not n.startswith("head.")} == layers
    for key, tensor in new.tensors.items():
        if "lora_B" in key:
            assert not tensor.any()
        else:
            bound = tensor.shape[1] ** -0.5
            assert 0.8 * bound < float(tensor.max()) <= bound
            assert -bound <= float(tensor.min()) < -0.8 * bound
    assert sum(tensor.numel() for tensor in new.tensors.values()) == new.parameters


def test_keys_are_those_of_peft(learned):
    assert {"LORA"} == {learned.config["peft_type"]}
    assert "base_model.model.backbone.blocks.0.attention.qkv.lora_A.weight" in learned.tensors
    assert (2, 16) == tuple(
        learned.tensors["base_model.model.backbone.blocks.1.attention.out.lora_A.weight"].shape
    )


def test_an_update_is_its_product_beside_the_weight(model, learned, experience):
    """Our layers give what a merged weight would, up to rounding."""
    merged = model.fork()
    for key, a in learned.tensors.items():
        if "lora_A" in key:
            name = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            layer = merged.get_submodule(name)
            b = learned.tensors[key.replace("lora_A", "lora_B")]
            layer.weight = torch.nn.Parameter(layer.weight + 2.0 * b @ a)
    x, t = experience.target.ids, torch.rand(8).double()

    torch.testing.assert_close(
        merged(x, t), Lora().apply(model, learned)(x, t), rtol=1e-4, atol=1e-4
    )


def test_the_rank_follows_from_the_share(model, experience):
    total = sum(p.numel() for p in model.parameters())
    budget = Budget(share=0.5, steps=0)
    small, large = (Lora(share=s).adapt(model, experience, budget) for s in (0.001, 0.4))

    assert 1 == small.config["r"] < large.config["r"]
    assert large.parameters <= 0.4 * total
    with pytest.raises(EvolutionError, match="expected a smaller rank"):
        Lora(rank=64).adapt(model, experience, budget)


@pytest.mark.parametrize(
    "change",
    [
        {"peft_type": "IA3"},
        {"use_dora": True},
        {"bias": "all"},
        {"modules_to_save": ["head"]},
        {"rank_pattern": {"qkv": 4}},
        {"r": 3},
        {"r": "2"},
        {"r": 0},
        {"r": True},
        *(
            {"lora_alpha": alpha}
            for alpha in (None, True, -8, 0, 10**400, float("nan"), float("inf"))
        ),
        {"init_lora_weights": "pissa"},
        {"use_rslora": "no"},
        {"target_modules": ["up"]},
        {"exclude_modules": ["out"]},
        {"frobnicate": None},
    ],
)
def test_what_would_be_computed_otherwise_is_refused(model, learned, change):
    """Fault T4: by the name of the key, unknown ones too."""
    wrong = attrs.evolve(learned, config=learned.config | change)

    with pytest.raises(EvolutionError, match=f"^'?{next(iter(change))}|this model"):
        Lora().apply(model, wrong)


def test_targets_that_are_no_layers_are_told(model, experience):
    with pytest.raises(EvolutionError, match=r"is called q_proj; this model has .*qkv"):
        Lora(targets=("q_proj",)).adapt(model, experience, Budget())


def test_a_minimal_adapter_of_peft_is_read(model):
    """Four keys, as its documentation has them; rsLoRA scales by the root of the rank."""
    key = "base_model.model.backbone.blocks.0.attention.out"
    tensors = {f"{key}.lora_A.weight": torch.ones(4, 16), f"{key}.lora_B.weight": torch.ones(16, 4)}
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["out"]}
    layers = [
        Lora().apply(model, Adaptation(config | extra, tensors, 0)).backbone.blocks[0].attention.out
        for extra in ({}, {"use_rslora": True})
    ]

    assert [2.0, 4.0] == [scale for layer in layers for _, _, scale in layer.updates()]


def test_updates_of_different_layers_and_ranks_merge(model, experience):
    """As stacking them does, in one file that is an adapter of PEFT too."""
    budget = Budget(share=1.0, steps=5, batch_size=4)
    adaptation = Lora(rank=2, targets=("qkv",)).adapt(model, experience, budget)
    two = Lora(rank=3, targets=("out",), alpha=0.5).adapt(model, experience, budget)
    merged = Lora().merge([(adaptation, 1.0), (two, 1.0)])
    stacked = Lora().apply(Lora().apply(model, adaptation), two)
    x, t = experience.target.ids, torch.rand(8).double()

    assert 5 == merged.config["r"]
    torch.testing.assert_close(stacked(x, t), Lora().apply(model, merged)(x, t))
    assert torch.equal(model(x, t), Lora().apply(model, Lora().merge([(adaptation, 0.0)]))(x, t))


def test_a_tensor_that_is_not_used_is_refused(model, learned):
    """Fault T4: an adapter does all that its file says, or is not taken."""
    wrong = {"base_model.model.head.modules_to_save.weight": torch.ones(2, 2)}
    with pytest.raises(EvolutionError, match="modules_to_save"):
        Lora().apply(model, attrs.evolve(learned, tensors=learned.tensors | wrong))
    key = next(iter(learned.tensors)).replace("lora_A", "lora_magnitude_vector")
    with pytest.raises(EvolutionError, match="lora_magnitude_vector"):
        Lora().apply(model, attrs.evolve(learned, tensors=learned.tensors | {key: torch.ones(2)}))
