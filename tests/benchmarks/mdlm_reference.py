"""MDLM's published network (arXiv 2406.07524), read from a checkout, as a learner to be timed.

Its attention and rotary positions go through torch's own in place of the flash-attn package. The
loss is its substitution parameterisation over the logits of all positions, the optimiser ours.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from aios_core.training.ema import Average


def rotary_qkv(qkv: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn queries and keys of (B, L, 3, H, D); cos and sin are (L, D / 2)."""
    cos, sin = cos[:, None, None], sin[:, None, None]
    a, b = qkv[:, :, :2].chunk(2, -1)
    turned = torch.cat((a * cos - b * sin, b * cos + a * sin), -1)
    return torch.cat((turned, qkv[:, :, 2:]), 2)


def attention(qkv: Tensor, bounds: Tensor, length: int, dropout: float, *, causal: bool) -> Tensor:
    """Attention of rows of equal length, (B * L, 3, H, D) to (B * L, H, D)."""
    q, k, v = qkv.unflatten(0, (-1, length)).permute(2, 0, 3, 1, 4)
    h = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=causal)
    return h.transpose(1, 2).flatten(0, 1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Scale and shift, already of a shape that broadcasts."""
    return x * (1 + scale) + shift


def network_class(checkout: Path) -> Any:
    """The class ``DIT`` of ``models/dit.py``."""
    stand_ins: dict[str, dict[str, Any]] = {
        "flash_attn": {},
        "flash_attn.layers": {},
        "flash_attn.layers.rotary": {"apply_rotary_emb_qkv_": rotary_qkv},
        "flash_attn.flash_attn_interface": {"flash_attn_varlen_qkvpacked_func": attention},
        # Only named there: the configuration comes as an object, and nothing is published.
        "omegaconf": {},
        "huggingface_hub": {"PyTorchModelHubMixin": type("Mixin", (), {})},
    }
    for name, members in stand_ins.items():
        module = ModuleType(name)
        vars(module).update(members)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    spec = importlib.util.spec_from_file_location("mdlm_dit", checkout / "models" / "dit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Defined twice there; the scripted code means the first, torch.compile would find the second.
    module.modulate = modulate
    return module.DIT


class Reference:
    """Trains it: one step a call, like a `Learner`."""

    def __init__(
        self,
        checkout: Path,
        *,
        layers: int,
        dim: int,
        heads: int,
        length: int,
        vocab: int,
        batch: int,
        device: torch.device,
        compiled: bool,
    ) -> None:
        model = SimpleNamespace(
            hidden_size=dim, cond_dim=128, n_heads=heads, n_blocks=layers, dropout=0.0,
            length=length, scale_by_sigma=True,
        )  # fmt: skip
        torch.manual_seed(0)
        self.model: nn.Module = network_class(checkout)(SimpleNamespace(model=model), vocab)
        self.model.to(device)
        self._network = torch.compile(self.model) if compiled else self.model
        self._loss = torch.compile(self._losses) if compiled else self._losses
        self._average = Average(self.model, 0.9999)
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=3e-4, fused=device.type == "cuda"
        )
        self._mask_id, self._shape, self._device = vocab - 1, (batch, length), device

    def step(self, number: int) -> None:
        """Forward, backward, clip, AdamW, average."""
        batch, length = self._shape
        x0 = torch.randint(self._mask_id, (batch, length), device=self._device)
        t = (torch.arange(batch, device=self._device) + torch.rand((), device=self._device)) / batch
        z = torch.where(
            torch.rand(batch, length, device=self._device) < t[:, None], self._mask_id, x0
        )
        self._optimizer.zero_grad(set_to_none=True)
        logits = self._network(z, torch.zeros(batch, device=self._device))
        loss = (self._loss(logits, x0, z) / t).sum() / x0.numel()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._average.update(number)

    def _losses(self, logits: Tensor, x0: Tensor, z: Tensor) -> Tensor:
        """(B,) cross-entropies, summed over masked positions."""
        masked = z == self._mask_id
        logits[..., self._mask_id] += -1_000_000.0
        log_probs = logits - torch.logsumexp(logits, -1, keepdim=True)
        chosen = log_probs.gather(-1, x0[..., None])[..., 0]
        return -(chosen * masked).sum(-1)
