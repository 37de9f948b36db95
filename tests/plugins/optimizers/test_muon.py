"""Muon against an oracle in float64 that knows singular values, and no iteration of matrices."""

import numpy as np
import pytest
import torch

from aios_core.contracts import Weight
from aios_plugins.optimizers.adamw import AdamW
from aios_plugins.optimizers.muon import Muon, orthogonal

SHAPES = [(6, 6), (3, 10), (10, 3), (1, 7), (3, 10)]


def drawn(shapes, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def flattened(matrix):
    """What the polynomial makes of a matrix, by its singular values."""
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    s = s / (np.linalg.norm(matrix) + 1e-7)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return u @ np.diag(s) @ v


def oracle(weights, gradients, rates, *, momentum=0.95, decay=0.1):
    """Weights after some steps, in float64."""
    weights = [weight.double().numpy().copy() for weight in weights]
    averages = [np.zeros_like(weight) for weight in weights]
    for step, rate in enumerate(rates):
        for i, gradient in enumerate(gradient.double().numpy() for gradient in gradients[step]):
            averages[i] = momentum * averages[i] + (1 - momentum) * gradient
            ahead = momentum * averages[i] + (1 - momentum) * gradient
            size = 0.2 * np.sqrt(max(gradient.shape))
            weights[i] = (1 - rate * decay) * weights[i] - rate * size * flattened(ahead)
    return weights


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.95])
def test_is_the_update_of_an_oracle_in_float64(momentum):
    rates = [0.1, 0.05, 0.2, 0.01]
    start, gradients = drawn(SHAPES, 0), [drawn(SHAPES, step) for step in range(1, 5)]
    weights = [Weight(str(i), each.clone(), "matrix") for i, each in enumerate(start)]
    stepper = Muon(momentum=momentum).build(weights, weight_decay=0.1)
    for rate, given in zip(rates, gradients, strict=True):
        for weight, gradient in zip(weights, given, strict=True):
            weight.tensor.grad = gradient.clone()
        stepper.step(rate)

    for weight, expected in zip(
        weights, oracle(start, gradients, rates, momentum=momentum), strict=True
    ):
        np.testing.assert_allclose(weight.tensor.numpy(), expected, rtol=0, atol=2e-5)


def test_singular_values_become_about_one():
    matrix = torch.from_numpy(np.diag([1.0, 0.3, 0.1, 0.03]))
    values = torch.linalg.svdvals(orthogonal(matrix[None])[0])

    assert ((0.67 < values) & (values < 1.22)).all(), values


def test_zeros_stay_zeros():
    assert not orthogonal(torch.zeros(1, 3, 4)).any()


def test_a_step_has_the_size_of_one_of_adamw():
    """By root mean square, for any shape: so both take the same learning rate."""
    for shape in ((64, 64), (32, 128), (128, 32)):
        sizes = []
        for optimizer in (Muon(), AdamW()):
            weight = Weight("w", torch.zeros(shape), "matrix")
            stepper = optimizer.build([weight], weight_decay=0.0)
            for step in range(20):
                before, weight.tensor.grad = weight.tensor.clone(), drawn([shape], step)[0]
                stepper.step(1.0)
            sizes.append(float((weight.tensor - before).square().mean().sqrt()))
        assert 0.4 < sizes[0] / sizes[1] < 2, (shape, sizes)


@pytest.mark.parametrize("role", ["embedding", "head", "vector"])
def test_all_else_is_adamws(role):
    """To the bit, also a weight of more than two axes."""
    shapes = [(7,)] if role == "vector" else [(4, 3)]
    results = []
    for optimizer in (Muon(beta1=0.7, beta2=0.9), AdamW(beta1=0.7, beta2=0.9)):
        weights = [
            Weight("w", drawn(shapes, 0)[0], role),
            Weight("k", torch.ones(2, 2, 2), "matrix"),
        ]
        stepper = optimizer.build(weights, weight_decay=0.1)
        for step in range(3):
            for weight in weights:
                weight.tensor.grad = drawn([weight.tensor.shape], step)[0]
            stepper.step(0.1)
        results.append([weight.tensor for weight in weights])

    for weight, other in zip(*results, strict=True):
        assert weight.equal(other)


def test_state_is_one_number_a_weight_of_a_matrix():
    weights = [Weight("w", torch.ones(3, 4), "matrix"), Weight("b", torch.ones(5), "vector")]
    names = ["b.exp_avg", "b.exp_avg_sq", "b.step", "w.momentum"]

    assert names == sorted(Muon().build(weights, weight_decay=0.1).state)
