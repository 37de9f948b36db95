"""A linear layer that keeps its weight packed, and how a model is made of such layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Self

import torch
from attrs import frozen
from torch import Tensor, nn

from aios_core.errors import QuantizationError
from aios_core.quantization import operator

if TYPE_CHECKING:
    from aios_core.contracts import QuantizedTensor, Quantizer, Statistics


class QuantizedLinear(nn.Module):
    """``y = x W^T + b`` with a packed W that is never expanded, where its quantizer can do so.

    It takes no part in training: W has no gradient, x and b have theirs.
    Threads of torch that wait actively take cores from its product: `aios` sets GOMP_SPINCOUNT to
    2000 before torch is loaded, and a program of your own should.

    Args:
        tensor: W of (out_features, in_features).
        bias: (out_features,) or None.
        quantizer: which multiplies; None: that of the tensor's method, with its defaults.

    Raises:
        QuantizationError: the tensor is no matrix.
    """

    codes: Tensor
    params: Tensor

    def __init__(
        self,
        tensor: QuantizedTensor,
        bias: Tensor | None = None,
        quantizer: Quantizer | None = None,
    ) -> None:
        super().__init__()
        if len(tensor.shape) != 2:
            raise QuantizationError(f"expected a matrix, got shape {tensor.shape}")
        self.out_features, self.in_features = tensor.shape
        self.packing = operator.describe(tensor, quantizer)
        self.method, self.bits, self.group_size = tensor.method, tensor.bits, tensor.group_size
        self.register_buffer("codes", tensor.codes)
        self.register_buffer("params", tensor.params)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    @classmethod
    def quantize(
        cls, layer: nn.Linear, quantizer: Quantizer, statistics: Statistics | None = None
    ) -> Self:
        """A layer in few bits; the given one is not changed."""
        return cls(quantizer.quantize(layer.weight, statistics), layer.bias, quantizer)

    @property
    def tensor(self) -> QuantizedTensor:
        """W."""
        return operator.tensor(self.packing, self.codes, self.params)

    @property
    def weight(self) -> Tensor:
        """W expanded, (out_features, in_features) float32; computed at every access."""
        return operator.reader(self.method).dequantize(self.tensor)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        y: Tensor = torch.ops.aios.quantized_linear(
            x, self.codes, self.params, self.out_features, self.packing
        )
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """What `print` shows."""
        return (
            f"{self.in_features}, {self.out_features}, bias={self.bias is not None}, "
            f"{self.method} int{self.bits} g{self.group_size}"
        )


@frozen
class Size:
    """What a model's weights take."""

    weights: int
    """Parameters, each once however often it is tied."""
    nbytes: int
    """Bytes that they take."""

    @property
    def bits_per_weight(self) -> float:
        """Over all weights, those that stayed as they were too."""
        return 8 * self.nbytes / max(self.weights, 1)

    @classmethod
    def of(cls, model: nn.Module) -> Size:
        """Of a model, quantized or not."""
        parameters = list(model.parameters())
        packed = [m.tensor for m in model.modules() if isinstance(m, QuantizedLinear)]
        return cls(
            sum(p.numel() for p in parameters) + sum(t.shape[0] * t.shape[1] for t in packed),
            sum(p.numel() * p.element_size() for p in parameters) + sum(t.nbytes for t in packed),
        )


def linears(model: nn.Module, exclude: Sequence[str] = ()) -> dict[str, nn.Linear]:
    """The layers that `quantize_model` would replace, by name.

    Those whose weight is also another module's, such as a head tied to its embedding, are left out:
    a packed copy would only add to what the model takes.

    Args:
        model: of any kind.
        exclude: patterns, as of file names, of weights that stay as they are.
    """
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    return {
        name: module
        for name, module in model.named_modules()
        if type(module) is nn.Linear
        and owners[id(module.weight)] == 1
        and not any(fnmatchcase(f"{name}.weight", pattern) for pattern in exclude)
    }


def quantize_model(
    model: nn.Module,
    quantizer: Quantizer,
    *,
    statistics: Mapping[str, Statistics] | None = None,
    exclude: Sequence[str] = (),
    on_progress: Callable[[str], None] = lambda _: None,
    measured: Callable[[str], None] = lambda _: None,
) -> None:
    """Replace the linear layers of a model by packed ones, in place.

    Args:
        model: of any kind; what `linears` leaves out stays as it is.
        quantizer: how.
        statistics: of the layers' inputs, by the name of the layer, where they are known.
        exclude: as for `linears`.
        on_progress: called with the name of each layer that is done.
        measured: called before, with the name of each layer that a plan looks at.

    Raises:
        QuantizationError: naming the layer whose weight cannot be quantized.
    """
    if not quantizer.changes:
        return
    known, layers = statistics or {}, linears(model, exclude)

    def weights() -> Iterator[tuple[str, Tensor, Statistics | None]]:
        for name, layer in layers.items():
            yield name, layer.weight, known.get(name)
            measured(name)

    planned = quantizer.plan(weights())
    for name, layer in layers.items():
        chosen = planned.get(name, quantizer)
        try:
            packed = QuantizedLinear.quantize(layer, chosen, known.get(name))
        except QuantizationError as error:
            raise QuantizationError(f"{name}: {error}") from error
        packed.train(layer.training)
        model.set_submodule(name, packed)
        on_progress(name)


def named_weights(model: nn.Module) -> Iterator[tuple[str, Tensor | QuantizedTensor]]:
    """The weights of a model as a file keeps them: each once, packed ones whole.

    A packed weight has the name that it had before.
    """
    packed = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, QuantizedLinear)
    }
    for name, module in packed.items():
        yield f"{name}.weight", module.tensor
    kept = model.state_dict()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name in kept and (name.rpartition(".")[0] not in packed or name.endswith(".bias")):
            yield name, tensor.detach()
