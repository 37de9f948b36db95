"""Others' loops around a network of ours, each as its own pipeline drives it."""

import sys
import types
from pathlib import Path

import torch


def amused(model, x, *, steps, **_):
    """diffusers' aMUSEd: draw everywhere, keep the likeliest draws; linear schedule."""
    from diffusers import AmusedScheduler

    mask_id = model.vocabulary.mask_id
    scheduler = AmusedScheduler(mask_token_id=mask_id, masking_schedule="linear")
    scheduler.set_timesteps(steps, temperature=(0, 0), device=x.device)
    for timestep in scheduler.timesteps:
        logits = logits_of(model, x)
        x = scheduler.step(logits, timestep, x).prev_sample
    return steps


def block_refinement(model, x, *, block, tau, to_the_end=True, **_):
    """diffusers' LLaDA2 pipeline: a block at a time, whatever is sure enough at once.

    Its networks are block-causal, so it reads up to the end of the block; ``to_the_end`` reads all
    of the text, as a bidirectional network has to and as ours does.
    """
    from diffusers import BlockRefinementScheduler

    scheduler = BlockRefinementScheduler(block_length=block, num_inference_steps=block)
    scheduler.set_timesteps(block, device=x.device)
    mask_id, calls = model.vocabulary.mask_id, 0
    for start in range(0, x.shape[1], block):
        step = 0
        while bool((x[:, start : start + block] == mask_id).any()):
            read = x if to_the_end else x[:, : start + block]
            logits = logits_of(model, read)[:, start : start + block]
            result = scheduler.step(
                logits,
                step,
                x[:, start : start + block],
                mask_token_id=mask_id,
                temperature=0.0,  # then both take the same texts, with as many calls
                threshold=tau,
            )
            x = torch.cat((x[:, :start], result.prev_sample, x[:, start + block :]), 1)
            step, calls = step + 1, calls + 1
    return calls


def entropy_bound(model, x, *, steps, gamma, **_):
    """diffusers' DiffusionGemma sampler: the lowest entropies at once, the rest noise again."""
    from diffusers import EntropyBoundScheduler

    scheduler = EntropyBoundScheduler(entropy_bound=gamma, t_max=1.0, t_min=1.0)
    scheduler.set_timesteps(steps, device=x.device)
    x = torch.randint_like(x, model.vocabulary.mask_id)
    for timestep in scheduler.timesteps:
        x = scheduler.step(logits_of(model, x), timestep, x).prev_sample
    return steps


def ddim(model, x, *, steps, **_):
    """diffusers' discrete DDIM, of uniform noise."""
    from diffusers import DiscreteDDIMScheduler

    scheduler = DiscreteDDIMScheduler(num_inference_steps=steps)
    scheduler.set_timesteps(steps, device=x.device)
    x = torch.randint_like(x, model.vocabulary.mask_id)
    for timestep in scheduler.timesteps:
        x = scheduler.step(logits_of(model, x), timestep, x, temperature=1.0).prev_sample
    return steps


def dllm(model, x, *, steps, block, path, **_):
    """dLLM's MDLM sampler, from a checkout; it reads the whole text for each block."""
    mdlm = _module(Path(path), "dllm.core.samplers.mdlm")

    class Network:
        device = x.device
        calls = 0

        def __call__(self, ids, attention_mask):
            self.calls += 1
            return types.SimpleNamespace(logits=logits_of(model, ids))

    words = model.vocabulary
    tokenizer = types.SimpleNamespace(
        mask_token_id=words.mask_id, bos_token_id=words.bos_id, eos_token_id=words.eos_id
    )
    network = Network()
    mdlm.MDLMSampler(model=network, tokenizer=tokenizer).sample(
        [[words.bos_id]] * len(x),
        steps=steps,
        block_size=block,
        max_new_tokens=x.shape[1] - 1,
        temperature=1.0,
    )
    return network.calls


def logits_of(model, x):
    """Logits (B, L, V) in which the mask is never drawn, which others leave to their users."""
    logits = model(x, torch.zeros(len(x), dtype=torch.float64, device=x.device))
    logits[..., model.vocabulary.mask_id] = -torch.inf
    return logits


def _module(root, name):
    """A module of a checkout without what its parent packages import, trainers and all."""
    import importlib

    for package in ("dllm", "dllm.core"):
        if package not in sys.modules:
            sys.modules[package] = types.ModuleType(package)
            sys.modules[package].__path__ = [str(root.joinpath(*package.split(".")))]
    return importlib.import_module(name)
