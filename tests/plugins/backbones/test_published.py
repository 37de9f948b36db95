"""The transformer as published networks have it, beside the classes of `transformers`."""

import pytest
import torch

from aios_core.contracts import Condition, Vocabulary
from aios_core.testing.contracts.backbone import BackboneContract
from aios_plugins.backbones.transformer import Transformer
from aios_plugins.heads.text import Text

V, L = 48, 11
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 80,
    "vocab_size": V,
    "rms_norm_eps": 1e-5,
}
"""Of Llama, in the words of its configuration."""
FAMILIES = {
    "llama": ({}, {}),
    "qwen2": ({"rms_norm_eps": 1e-6, "rope_theta": 1e6}, {"qkv_bias": True}),
    "qwen3": ({"head_dim": 16, "rope_theta": 1e6}, {"qk_norm": True, "head_dim": 16}),
}


class TestPublished(BackboneContract):
    component = Transformer(
        dim=16,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=8,
        qkv_bias=True,
        qk_norm=True,
        theta=5e5,
        rotary_dim=4,
        full_precision_rotation=True,
        eps=1e-6,
        norm_rounds_first=True,
    )


def reference(family):
    """A network of `transformers` with random weights, norms and biases included."""
    transformers = pytest.importorskip("transformers")
    settings = SHAPE | FAMILIES[family][0]
    theta = settings.pop("rope_theta", 1e4)
    config = transformers.AutoConfig.for_model(
        family,
        **settings,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        tie_word_embeddings=False,
        attn_implementation="sdpa",
    )
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model, theta


def ours(family, model, theta, *, causal=False):
    """The same network of our classes, with its weights."""
    eps = model.config.rms_norm_eps
    norms = {"eps": eps, "norm_rounds_first": True}
    backbone = Transformer(
        dim=32,
        layers=2,
        heads=4,
        kv_heads=2,
        theta=theta,
        expansion=80 / 32,
        **norms,
        **FAMILIES[family][1],
    ).build(causal=causal)
    head = Text(tied=False, scale="one", **norms).build(32, Vocabulary(V, 0, 1, 2, 3))
    theirs = model.state_dict()

    def of(layer, *names, kind="weight"):
        return torch.cat([theirs[f"model.layers.{layer}.{name}.{kind}"] for name in names])

    state, qkv = {}, ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    for layer in range(2):
        own = f"blocks.{layer}"
        state[f"{own}.norms.0.weight"] = of(layer, "input_layernorm")
        state[f"{own}.norms.1.weight"] = of(layer, "post_attention_layernorm")
        state[f"{own}.attention.qkv.weight"] = of(layer, *qkv)
        if family == "qwen2":
            state[f"{own}.attention.qkv.bias"] = of(layer, *qkv, kind="bias")
        if family == "qwen3":
            state[f"{own}.attention.norms.0.weight"] = of(layer, "self_attn.q_norm")
            state[f"{own}.attention.norms.1.weight"] = of(layer, "self_attn.k_norm")
        state[f"{own}.attention.out.weight"] = of(layer, "self_attn.o_proj")
        state[f"{own}.feed_forward.up.weight"] = of(layer, "mlp.gate_proj", "mlp.up_proj")
        state[f"{own}.feed_forward.out.weight"] = of(layer, "mlp.down_proj")
    backbone.load_state_dict(state)
    head.load_state_dict(
        {
            "embedding.weight": theirs["model.embed_tokens.weight"],
            "norm.weight": theirs["model.norm.weight"],
            "linear.weight": theirs["lm_head.weight"],
        }
    )
    return head.eval(), backbone.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", ["causal", "whole", "blocks"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_transformers(family, shape, dtype):
    """Not close: the same numbers, for products of the same weights are in the same order."""
    model, theta = reference(family)
    head, backbone = ours(family, model, theta, causal=shape == "causal")
    for module in (head, backbone):
        module.to(dtype)
    rotation = model.model.rotary_emb
    turns = rotation.inv_freq.clone()
    model.to(dtype)
    rotation.inv_freq = turns  # which `.to()` rounds there
    ids = torch.randint(V, (3, L), generator=torch.Generator().manual_seed(0))
    place = torch.arange(L)
    seen = {
        "causal": None,
        "whole": torch.ones(L, L, dtype=torch.bool),
        "blocks": place[None, :] // 4 <= place[:, None] // 4,
    }[shape]
    condition = None if seen is None else Condition(mask=seen)
    with torch.no_grad():
        mask = None if seen is None else seen.expand(3, 1, L, L)
        expected = model(ids, attention_mask=mask, use_cache=False).logits
        got = head.decode(backbone(head.encode(ids), None, condition))

    assert dtype == got.dtype
    assert 0.0 == (expected - got).abs().max().item()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_angles_keep_their_precision(dtype):
    """A cosine in bfloat16 is off by 2e-3, so far positions would stand elsewhere."""
    module = Transformer(dim=16, layers=1, heads=2, theta=5e5).build()
    before = module.angles.clone()
    module.to(dtype)

    assert torch.equal(before, module.angles)
    assert dtype == module.blocks[0].attention.qkv.weight.dtype


def test_angles_of_a_network_that_was_built_on_meta():
    """`to_empty` leaves buffers unset; these are no part of a file, and are computed."""
    config = Transformer(dim=16, layers=1, heads=2, theta=5e5)
    with torch.device("meta"):
        module = config.build()
    module.to_empty(device="cpu")

    assert torch.equal(config.build().angles, module.angles)


def test_features_behind_the_rotated_ones_say_nothing_of_the_place():
    """With one rotated pair of 4, a query that is zero there sees all places alike."""
    torch.manual_seed(0)
    module = Transformer(dim=16, layers=1, heads=2, rotary_dim=2).build()
    with torch.no_grad():
        weight = module.blocks[0].attention.qkv.weight.unflatten(0, (3, 2, 8))
        weight[:2, :, :2] = 0
    h = torch.randn(1, 5, 16)
    moved = module(h, None, Condition(positions=torch.tensor([9, 0, 4, 77, 3])[None, :, None]))
    torch.testing.assert_close(moved, module(h, None, None), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kv_heads": 3}, "expected a divisor of heads = 4, got 3"),
        ({"head_dim": 5}, "an even width a head, got 5"),
        ({"rotary_dim": 3}, "an even number of features of 8, got 3"),
        ({"rotary_dim": 10}, "an even number of features of 8, got 10"),
    ],
)
def test_shapes_that_cannot_be(values, message):
    with pytest.raises(ValueError, match=message):
        Transformer(dim=32, heads=4, **values)
