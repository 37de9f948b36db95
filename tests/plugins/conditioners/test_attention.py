"""Cross-attention to memories, by hand."""

import math

import pytest
import torch

from aios_plugins.conditioners._attention import MemoryAttention, MemoryContext


def parts():
    """Cross-attention of a network of width 4, whose memories are two tokens each; two texts."""
    torch.manual_seed(0)
    memory = MemoryAttention(4, 1, width=5, num_tokens=2, heads=2).double()
    torch.nn.init.normal_(memory.layers[0].gate.weight)
    vectors = torch.randn(2, 3, 5).double()
    scores = torch.tensor([[0.9, 0.2, 0.7], [0.4, 0.3, 0.0]]).double()
    valid = torch.tensor([[True, True, False], [True, False, False]])
    return memory, vectors, scores, valid


def test_a_memory_is_its_tokens_each_as_near_as_it_is():
    memory, vectors, scores, valid = parts()
    context = MemoryContext(memory, vectors, scores, valid)
    weight, bias = memory.project.weight, memory.project.bias
    for row in range(2):
        for place in range(6):
            number, half = divmod(place, 2)
            token = (weight @ vectors[row, number] + bias)[4 * half : 4 * half + 4]
            token = token / token.square().mean().sqrt()

            torch.testing.assert_close(context.tokens[row, place], token, rtol=1e-6, atol=1e-6)
            assert scores[row, number] == context.scores[row, place]
            assert valid[row, number] == context.valid[row, place]


@torch.no_grad()
def test_a_layer_attends_to_memories_by_their_nearness_and_to_nothing():
    """Softmax of q k / sqrt(d) + sharpness * score beside that of half a score, worth nothing."""
    memory, vectors, scores, valid = parts()
    (layer,) = memory.layers
    context, h = MemoryContext(memory, vectors, scores, valid), torch.randn(2, 3, 4).double()
    result = context(h, 0)

    assert [5.0, 10.0] == layer.sharpness.tolist()
    assert [2.5, 5.0] == layer.nothing.tolist()
    for row in range(2):
        for place in range(3):
            state = h[row, place]
            query = layer.query.weight @ (state / state.square().mean().sqrt())
            read = torch.zeros(4).double()
            for head in range(2):
                own = slice(2 * head, 2 * head + 2)
                logits, values = [2.5 * 2**head], [torch.zeros(2).double()]
                for token, score, known in zip(
                    context.tokens[row], context.scores[row], context.valid[row], strict=True
                ):
                    key, value = (layer.key_value.weight @ token).chunk(2)
                    near = float(query[own] @ key[own]) / math.sqrt(2)
                    logits.append(near + 5 * 2**head * float(score) if known else -math.inf)
                    values.append(value[own])
                share = torch.tensor(logits).double().softmax(0)
                read[own] = sum(s * v for s, v in zip(share, values, strict=True))

            expected = state + layer.gate.weight @ read
            torch.testing.assert_close(result[row, place], expected, rtol=1e-5, atol=1e-5)


def test_told_of_nothing_a_layer_adds_nothing():
    memory, vectors, scores, valid = parts()
    h = torch.randn(2, 3, 4).double()

    assert h.equal(MemoryContext(memory, vectors, scores, valid & False)(h, 0))
    fresh = MemoryAttention(4, 1, width=5, num_tokens=2, heads=2).double()
    assert h.equal(MemoryContext(fresh, vectors, scores, valid)(h, 0))
    with pytest.raises(IndexError):
        MemoryContext(fresh, vectors, scores, valid)(h, 1)


def test_tensors_have_the_names_that_files_hold():
    """Weights of earlier runs are read by these names."""
    memory, *_ = parts()
    layer = ("sharpness", "nothing", "norm.weight", "query.weight", "key_value.weight")
    names = {f"layers.0.{name}" for name in (*layer, "gate.weight")}

    assert {"project.weight", "project.bias", "norm.weight", *names} == set(memory.state_dict())
