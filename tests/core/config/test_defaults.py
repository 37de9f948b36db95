"""What a configuration means that says nothing, and what it may say: a table of every key.

A default, a bound, or what a change makes void, is a promise to every file that was written before:
who changes one changes it here as well.
"""

from __future__ import annotations

import math
import typing

import attrs
import pytest

from aios_core import kinds
from aios_core.config import keys, resolve
from aios_core.config.schema import config_class
from aios_core.config.types import fields, hints
from aios_core.registry import PART, Registry

CONFIG = {
    "name": ("run", "", "nothing"),
    "seed": (0, "[0, 2**63 - 1]", "training"),
    "mode": ("diffusion", "", "training"),
    "roles": (None, "", "nothing"),  # without modalities
    "tasks": ({}, "", "training"),
    "diffusion.length": (128, "[1, 2**20]", "training"),
    "diffusion.packing": ("documents", "", "training"),
    "diffusion.times": ("stratified", "", "training"),
    "diffusion.time_epsilon": (0.0001, "(0.0, 0.001]", "training"),
    "diffusion.mask_rates": ((0.0, 1.0), "", "training"),
    "diffusion.block_size": (None, "[1, 2**20]", "training"),
    "training.steps": (1000, "[1, 10**9]", "training"),
    "training.init_from": (None, "", "training"),
    "training.batch_size": (32, "[1, 2**20]", "training"),
    "training.accumulate": (1, "[1, 2**20]", "training"),
    "training.learning_rate": (0.002, "(0.0, 1e30]", "training"),
    "training.warmup_steps": (50, "[0, 10**9]", "training"),
    "training.weight_decay": (0.1, "[0.0, 1000.0]", "training"),
    "training.clip_norm": (1.0, "(0.0, 1e30]", "training"),
    "training.ema_decay": (0.99, "[0.0, 1.0)", "training"),
    "training.precision": ("auto", "", "training"),
    "training.compile": (False, "", "training"),
    "training.gradient_checkpointing": (False, "", "training"),
    "training.device": ("auto", "", "nothing"),
    "training.checkpoint_every": (500, "[1, 10**9]", "nothing"),
    "training.log_every": (10, "[1, 10**9]", "nothing"),
    "training.evaluate_every": (100, "[1, 10**9]", "training"),
    "training.evaluate_windows": (64, "[1, 10**9]", "training"),
    "training.keep": ("last", "", "training"),
    "training.patience": (None, "[1, 10**9]", "training"),
    "sampling.top_k": (None, "[1, 2**31 - 1]", "evaluation"),
    "sampling.top_p": (1.0, "(0.0, 1.0]", "evaluation"),
    "sampling.min_p": (0.0, "[0.0, 1.0]", "evaluation"),
    "sampling.repetition_penalty": (1.0, "(0.0, 1000000.0]", "evaluation"),
    "sampling.suppress_tokens": ((), "[0, 2**31)", "evaluation"),
    "sampling.num_samples": (16, "[1, 2**20]", "evaluation"),
    "sampling.length": (None, "[1, 2**20]", "evaluation"),
    "sampling.batch_size": (16, "[1, 2**20]", "evaluation"),
    "sampling.temperature": (1.0, "[0.0, 1000000.0]", "evaluation"),
    "sampling.spacing": ("uniform", "", "evaluation"),
    "sampling.block_size": (None, "[1, 2**20]", "evaluation"),
    "sampling.cache": ("none", "", "evaluation"),
    "evaluation.twin": (True, "", "evaluation"),
    "evaluation.twin_seed": (0, "[0, 2**63 - 1]", "evaluation"),
    "evaluation.draws": (4, "[1, 2**20]", "evaluation"),
    "evaluation.batch_size": (64, "[1, 2**20]", "evaluation"),
    "evaluation.max_tokens": (None, "[1, 10**9]", "evaluation"),
    "evaluation.guidance_scale": (1.0, "[-1e6, 1e6]", "evaluation"),
    "evaluation.task": (None, "", "evaluation"),
    "evolution.level": (None, "", "evaluation"),
    "evolution.share": (0.1, "(0.0, 1.0]", "evaluation"),
    "evolution.steps": (200, "[1, 10**9]", "evaluation"),
    "evolution.batch_size": (16, "[1, 2**20]", "evaluation"),
    "evolution.fitting_windows": (2048, "[1, 10**9]", "evaluation"),
    "evolution.windows": (128, "[16, 10**9]", "evaluation"),
    "evolution.draws": (8, "[1, 2**20]", "evaluation"),
    "evolution.epsilon": (0.0, "[0.0, 1000.0]", "evaluation"),
    "evolution.base_tolerance": (0.2, "[0.0, 1000.0]", "evaluation"),
    "evolution.confidence": (0.95, "(0.5, 1.0)", "evaluation"),
    "logging.level": ("info", "", "nothing"),
    "logging.json": (False, "", "nothing"),
    "plugins.use": ({}, "", "nothing"),
    "plugins.require": ((), "", "nothing"),
}
"""Key to its default, the numbers that it takes, and what a change makes void."""

COMPONENTS = {
    "backbone.transformer.dim": (128, "[2, 2**16]"),
    "backbone.transformer.layers": (4, "[1, 2**10]"),
    "backbone.transformer.heads": (4, "[1, 2**10]"),
    "backbone.transformer.kv_heads": (None, "[1, 2**10]"),
    "backbone.transformer.head_dim": (None, "[2, 2**16]"),
    "backbone.transformer.qkv_bias": (False, ""),
    "backbone.transformer.qk_norm": (False, ""),
    "backbone.transformer.theta": (None, "[1.0, 1e12]"),
    "backbone.transformer.rotary_dim": (None, "[2, 2**16]"),
    "backbone.transformer.full_precision_rotation": (False, ""),
    "backbone.transformer.eps": (None, "(0.0, 1.0]"),
    "backbone.transformer.norm_rounds_first": (False, ""),
    "backbone.transformer.expansion": (3.0, "(0.0, 64.0]"),
    "backbone.transformer.dropout": (0.0, "[0.0, 1.0)"),
    "backbone.transformer.time_conditioned": (False, ""),
    "conditioner.memory.k": (..., "[1, 2**16]"),
    "conditioner.memory.store": (None, ""),
    "conditioner.memory.uri": (None, ""),
    "conditioner.memory.dim": (384, "[1, 2**20]"),
    "conditioner.memory.num_tokens": (4, "[1, 2**20]"),
    "conditioner.memory.heads": (4, "[1, 2**20]"),
    "conditioner.memory.dropout": (0.1, "[0.0, 1.0)"),
    "corruption.hybrid.uniform": (0.1, "(0.0, 1.0)"),
    "checker.sudoku.box_rows": (None, "[1, 25]"),
    "checker.regex.pattern": (..., ""),
    "checker.json.schema": (None, ""),
    "dataset.countdown.numbers": (3, "[2, 6]"),
    "dataset.countdown.largest": (30, "[2, 10_000]"),
    "dataset.countdown.largest_target": (99, "[1, 10**6]"),
    "dataset.countdown.problems": (20_000, "[1, 10**7]"),
    "dataset.countdown.held_out": (1000, "[1, 10**6]"),
    "dataset.countdown.seed": (0, "[0, 2**32 - 1]"),
    "dataset.file.path": (..., ""),
    "dataset.file.key": ("text", ""),
    "dataset.file.prompt": (None, ""),
    "dataset.file.answer": (None, ""),
    "dataset.file.prompt_role": ("given", ""),
    "dataset.file.messages": (None, ""),
    "dataset.file.template": (None, ""),
    "dataset.file.test": (None, ""),
    "dataset.file.learn": ("all", ""),
    "dataset.file.validation": (None, ""),
    "dataset.file.split": ("documents", ""),
    "dataset.file.share": (0.1, "(0.0, 1.0)"),
    "dataset.file.split_seed": (0, "[0, 2**32 - 1]"),
    "dataset.file.encoding": ("utf-8", ""),
    "dataset.file.max_bytes": (2**32, "(0, 2**50]"),
    "dataset.hf.path": (None, ""),
    "dataset.hf.name": (None, ""),
    "dataset.hf.config": (None, ""),
    "dataset.hf.revision": (None, ""),
    "dataset.hf.split": ("train", ""),
    "dataset.hf.validation": (None, ""),
    "dataset.hf.test": (None, ""),
    "dataset.hf.share": (0.1, "(0.0, 1.0)"),
    "dataset.hf.split_seed": (0, "[0, 2**32 - 1]"),
    "dataset.hf.key": ("text", ""),
    "dataset.hf.prompt": (None, ""),
    "dataset.hf.answer": (None, ""),
    "dataset.hf.prompt_role": ("given", ""),
    "dataset.hf.messages": (None, ""),
    "dataset.hf.template": (None, ""),
    "dataset.hf.learn": ("all", ""),
    "dataset.media.path": (..., ""),
    "dataset.media.validation": (None, ""),
    "dataset.media.text": (None, ""),
    "dataset.media.image": (None, ""),
    "dataset.media.audio": (None, ""),
    "dataset.media.mode": (None, ""),
    "dataset.media.size": (None, ""),
    "dataset.media.rate": (None, "[100, 10**6]"),
    "dataset.media.mono": (False, ""),
    "dataset.media.share": (0.1, "(0.0, 1.0)"),
    "dataset.media.split_seed": (0, "[0, 2**32 - 1]"),
    "dataset.memories.store": (..., ""),
    "dataset.memories.filter": (None, ""),
    "dataset.mixture.parts": (..., ""),
    "dataset.mixture.weights": (None, ""),
    "dataset.rendered.words": (None, ""),
    "dataset.rendered.source": (None, ""),
    "dataset.rendered.fonts": (None, ""),
    "dataset.rendered.size": ((28, 28), "[8, 1024]"),
    "dataset.rendered.speech": (None, ""),
    "dataset.rendered.voices": ((), ""),
    "dataset.rendered.rate": (8000, "[1000, 192_000]"),
    "dataset.rendered.repeats": (1, "[1, 10**6]"),
    "dataset.rendered.seed": (0, "[0, 2**32 - 1]"),
    "dataset.sudoku.box_rows": (2, "[1, 25]"),
    "dataset.sudoku.box_columns": (2, "[2, 25]"),
    "dataset.sudoku.grids": (10_000, "[1, 10**7]"),
    "dataset.sudoku.held_out": (1000, "[1, 10**6]"),
    "dataset.sudoku.clues": (0.3, "[0.0, 1.0)"),
    "dataset.sudoku.unique": (False, ""),
    "dataset.sudoku.puzzles": (None, ""),
    "dataset.sudoku.seed": (0, "[0, 2**32 - 1]"),
    "embedding.engine.run": (..., ""),
    "embedding.engine.mode": (None, ""),
    "embedding.engine.batch_size": (32, "[1, 2**16]"),
    "embedding.engine.query_prompt": ("", ""),
    "embedding.engine.document_prompt": ("", ""),
    "embedding.hashing.dim": (384, "[8, 2**16]"),
    "embedding.sentence-transformers.model": (..., ""),
    "embedding.sentence-transformers.device": ("cpu", ""),
    "embedding.sentence-transformers.batch_size": (32, "[1, 2**16]"),
    "embedding.sentence-transformers.query_prompt": (None, ""),
    "embedding.sentence-transformers.document_prompt": (None, ""),
    "executor.processes.workers": (None, "[1, 2**10]"),
    "head.text.tied": (True, ""),
    "head.text.scale": ("sqrt", ""),
    "head.text.eps": (None, "(0.0, 1.0]"),
    "head.text.norm_rounds_first": (False, ""),
    "level.full.learning_rate": (0.002, "(0.0, 1000.0]"),
    "level.full.replay": (0.0, "[0.0, 100.0]"),
    "level.full.pull": (0.0, "[0.0, 1000000.0]"),
    "level.l0-mixing.experts": ((), ""),
    "level.l0-mixing.pool": ("log", ""),
    "level.l0-mixing.replay": (0.25, "[0.0, 100.0]"),
    "level.l1-control.size_ratio": (0.25, "(0.0, 1.0]"),
    "level.l1-control.conditioning_scale": (1.0, "[-1000000.0, 1000000.0]"),
    "level.l1-control.control_guidance_start": (0.0, "[0.0, 1.0]"),
    "level.l1-control.control_guidance_end": (1.0, "[0.0, 1.0]"),
    "level.l1-control.learning_rate": (0.005, "(0.0, 1000.0]"),
    "level.l1-control.replay": (0.25, "[0.0, 100.0]"),
    "level.l2-lora.rank": (None, "[1, 2**16]"),
    "level.l2-lora.share": (0.01, "(0.0, 1.0]"),
    "level.l2-lora.alpha": (2.0, "(0.0, 1000000.0]"),
    "level.l2-lora.targets": ((), ""),
    "level.l2-lora.learning_rate": (0.005, "(0.0, 1000.0]"),
    "level.l2-lora.replay": (0.25, "[0.0, 100.0]"),
    "level.l3-unfreeze.learning_rate": (0.002, "(0.0, 1000.0]"),
    "level.l3-unfreeze.replay": (0.25, "[0.0, 100.0]"),
    "level.l3-unfreeze.pull": (0.01, "[0.0, 1000000.0]"),
    "level.random-tensors.learning_rate": (0.002, "(0.0, 1000.0]"),
    "level.random-tensors.replay": (0.25, "[0.0, 100.0]"),
    "level.random-tensors.pull": (0.01, "[0.0, 1000000.0]"),
    "lr_schedule.cosine.final": (0.1, "[0.0, 1.0]"),
    "lr_schedule.wsd.decay": (0.2, "(0.0, 1.0]"),
    "lr_schedule.wsd.shape": ("sqrt", ""),
    "metric.checked.checker": (..., ""),
    "metric.distinct.n": ((2, 3), "[1, 8]"),
    "noise.cosine-mdlm.eps": (0.001, "[0.0, 1.0)"),
    "noise.cosine-squared.eps": (0.001, "[0.0, 1.0)"),
    "noise.cubic.start": (2.0, "[0.0, 4.0]"),
    "noise.cubic.end": (0.0, "[0.0, 4.0]"),
    "noise.custom.points": (((0.0, 1.0), (0.25, 0.8), (0.75, 0.2), (1.0, 0.0)), ""),
    "noise.geometric.sigma_min": (0.0001, "(0.0, 0.001]"),
    "noise.geometric.sigma_max": (20.0, "[6.91, 700.0]"),
    "noise.learned.bins": (16, "[2, 2**16]"),
    "noise.linear-sigma.sigma_min": (0.0, "[0.0, 0.001]"),
    "noise.linear-sigma.sigma_max": (10.0, "(0.0, 700.0]"),
    "noise.loglinear.eps": (0.001, "[0.0, 1.0)"),
    "noise.md4-clipped.eps": (0.0001, "[0.0, 0.001]"),
    "noise.md4-clipped.exponent": (1.0, "(0.0, 100.0]"),
    "noise.polynomial.exponent": (2.0, "(0.0, 100.0]"),
    "objective.d3pm.steps": (1000, "[1, 10**6]"),
    "objective.squared-error.weight": ("velocity", ""),
    "objective.squared-error.least": (0.05, "(0.0, 1.0]"),
    "policy.uncertainty.thresholds": ((1.0, 3.0), "[-1000000.0, 1000000.0]"),
    "optimizer.adamw.beta1": (0.9, "[0.0, 1.0)"),
    "optimizer.adamw.beta2": (0.98, "[0.0, 1.0)"),
    "optimizer.muon.momentum": (0.95, "[0.0, 1.0)"),
    "optimizer.muon.beta1": (0.9, "[0.0, 1.0)"),
    "optimizer.muon.beta2": (0.98, "[0.0, 1.0)"),
    "quantizer.arrow.bits": (4, ""),
    "quantizer.arrow.bits_per_weight": (None, "(0.0, 32.0]"),
    "quantizer.arrow.group_size": (64, ""),
    "quantizer.arrow.symmetric": (False, ""),
    "quantizer.arrow.param_format": ("f16", ""),
    "quantizer.arrow.quality": ("search", ""),
    "quantizer.arrow.activations": ("int8", ""),
    "quantizer.hqq.group_size": (64, "[0, 2**20]"),
    "quantizer.hqq.bits": (4, ""),
    "quantizer.rtn.bits": (4, "[1, 8]"),
    "quantizer.rtn.group_size": (64, "[0, 2**20]"),
    "quantizer.rtn.symmetric": (False, ""),
    "quantizer.torchao.bits": (4, "[1, 8]"),
    "quantizer.torchao.group_size": (64, "[0, 2**20]"),
    "sampler.analytic.steps": (64, "[1, 10**6]"),
    "sampler.ancestral.steps": (64, "[1, 10**6]"),
    "sampler.confidence.steps": (64, "[1, 10**6]"),
    "sampler.confidence.measure": ("probability", ""),
    "sampler.confidence.selection": ("choose-then-sample", ""),
    "sampler.confidence.choice_temperature": (0.0, "[0.0, 1000000.0]"),
    "sampler.credit.tau": (0.9, "(0.0, 1.0]"),
    "sampler.credit.weight": (0.7, "[0.0, 1000000.0]"),
    "sampler.credit.exponent": (0.2, "[0.0, 1000.0]"),
    "sampler.credit.decay": (0.8, "[0.0, 1.0)"),
    "sampler.ddim.steps": (64, "[1, 10**6]"),
    "sampler.dfm.steps": (64, "[1, 10**6]"),
    "sampler.dfm.strength": (10.0, "[0.0, 1000000.0]"),
    "sampler.dfm.late": (0.25, "[0.0, 1000.0]"),
    "sampler.dfm.early": (0.25, "[0.0, 1000.0]"),
    "sampler.entropy-bounded.gamma": (0.1, "[0.0, 1000000.0]"),
    "sampler.dpmpp-2m.steps": (32, "[1, 10**6]"),
    "sampler.euler.steps": (64, "[1, 10**6]"),
    "sampler.heun.steps": (32, "[1, 10**6]"),
    "sampler.euler.jump": ("linear", ""),
    "sampler.factor.factor": (1.0, "[0.0, 1000000.0]"),
    "sampler.forward-backward.steps": (64, "[1, 10**6]"),
    "sampler.forward-backward.strength": (1.0, "[0.0, 1000000.0]"),
    "sampler.hierarchical.tau": (0.9, "(0.0, 1.0]"),
    "sampler.psi.steps": (64, "[1, 10**6]"),
    "sampler.psi.kappa": (0.98, "[0.0, 1.0]"),
    "sampler.remdm-cap.steps": (64, "[1, 10**6]"),
    "sampler.remdm-cap.eta": (0.04, "[0.0, 1.0]"),
    "sampler.remdm-conf.steps": (64, "[1, 10**6]"),
    "sampler.remdm-conf.eta": (1.0, "[0.0, 1.0]"),
    "sampler.remdm-loop.steps": (64, "[1, 10**6]"),
    "sampler.remdm-loop.eta": (0.02, "[0.0, 1.0]"),
    "sampler.remdm-loop.t_on": (0.55, "(0.0, 1.0)"),
    "sampler.remdm-loop.t_off": (0.05, "(0.0, 1.0)"),
    "sampler.remdm-loop.alpha_on": (0.9, "(0.0, 1.0)"),
    "sampler.remdm-rescale.steps": (64, "[1, 10**6]"),
    "sampler.remdm-rescale.eta": (0.04, "[0.0, 1.0]"),
    "sampler.threshold.tau": (0.9, "(0.0, 1.0]"),
    "storage.arrow.durability": ("commit", ""),
    "storage.arrow.compaction": ("background", ""),
    "storage.arrow.index_rows": (10000, "[1, 2**31 - 1]"),
    "storage.arrow.width": (64, "[1, 2**16]"),
    "storage.faiss.index_type": ("hnsw", ""),
    "storage.faiss.m": (32, "[4, 256]"),
    "storage.faiss.ef_construction": (40, "[1, 2**16]"),
    "storage.faiss.ef_search": (64, "[1, 2**16]"),
    "storage.lancedb.index_rows": (10000, "[256, 2**31 - 1]"),
    "storage.pgvector.index_rows": (10000, "[1, 2**31 - 1]"),
    "storage.pgvector.ef_search": (64, "[1, 1000]"),
    "storage.qdrant.timeout": (60, "[1, 86400]"),
    "storage.usearch.connectivity": (16, "[2, 256]"),
    "storage.usearch.expansion_add": (128, "[1, 2**16]"),
    "storage.usearch.expansion_search": (64, "[1, 2**16]"),
    "storage.usearch.dtype": ("f32", ""),
    "tokenizer.bpe.vocab_size": (1024, "[260, 2**19]"),
    "tokenizer.bpe.min_frequency": (2, "[1, 2**31)"),
    "tokenizer.bpe.file": (None, ""),
    "tokenizer.hf.file": (..., ""),
    "tokenizer.hf.engine": (False, ""),
    "tokenizer.hf.strict": (False, ""),
    "tokenizer.hf.parse_special": (False, ""),
    "tokenizer.tiktoken.encoding": (..., ""),
    "tokenizer.tiktoken.parse_special": (False, ""),
    "tracker.wandb.project": ("ai-os-diffusion", ""),
    "dataset.digits.size": (16, ""),
    "dataset.digits.seed": (0, "[0, 2**32 - 1]"),
    "head.patches.bottleneck": (64, "[1, 2**16]"),
    "metric.judged.label": ("text", ""),
    "metric.judged.passes": (4, "[1, 1000]"),
    "modality.codes.name": ("codes", ""),
    "modality.codes.size": (1024, "[2, 2**20]"),
    "modality.codes.grid": ((16,), ""),
    "modality.codes.weight": (0.1, "(0.0, 1e6]"),
    "modality.codes.head": ({"type": "text"}, ""),
    "modality.codes.corruption": ({"type": "absorbing"}, ""),
    "modality.codes.noise": ({"type": "loglinear"}, ""),
    "modality.codes.objective": ({"type": "nelbo"}, ""),
    "modality.mel.name": ("audio", ""),
    "modality.mel.rate": (8000, "[100, 10**6]"),
    "modality.mel.frames": (32, "[1, 2**16]"),
    "modality.mel.bands": (32, "[1, 1024]"),
    "modality.mel.window": (256, "[4, 2**16]"),
    "modality.mel.hop": (128, "[1, 2**16]"),
    "modality.mel.group": (1, "[1, 2**16]"),
    "modality.mel.long": ("refuse", ""),
    "modality.mel.weight": (1.0, "(0.0, 1e6]"),
    "modality.mel.head": ({"type": "linear"}, ""),
    "modality.mel.corruption": ({"type": "gaussian"}, ""),
    "modality.mel.noise": ({"type": "flow"}, ""),
    "modality.mel.objective": ({"type": "squared-error"}, ""),
    "modality.mulaw.name": ("audio", ""),
    "modality.mulaw.rate": (8000, "[100, 10**6]"),
    "modality.mulaw.samples": (1024, "[1, 2**20]"),
    "modality.mulaw.long": ("refuse", ""),
    "modality.mulaw.weight": (0.1, "(0.0, 1e6]"),
    "modality.mulaw.head": ({"type": "text"}, ""),
    "modality.mulaw.corruption": ({"type": "absorbing"}, ""),
    "modality.mulaw.noise": ({"type": "loglinear"}, ""),
    "modality.mulaw.objective": ({"type": "nelbo"}, ""),
    "modality.pixels.name": ("image", ""),
    "modality.pixels.size": ((28, 28), ""),
    "modality.pixels.channels": (1, ""),
    "modality.pixels.patch": (4, "[1, 256]"),
    "modality.pixels.weight": (1.0, "(0.0, 1e6]"),
    "modality.pixels.head": ({"type": "patches"}, ""),
    "modality.pixels.corruption": ({"type": "gaussian"}, ""),
    "modality.pixels.noise": ({"type": "flow"}, ""),
    "modality.pixels.objective": ({"type": "squared-error"}, ""),
    "modality.text.name": ("text", ""),
    "modality.text.unit": ("character", ""),
    "modality.text.length": (None, "[1, 2**16]"),
    "modality.text.weight": (0.1, "(0.0, 1e6]"),
    "modality.text.head": ({"type": "text"}, ""),
    "modality.text.corruption": ({"type": "absorbing"}, ""),
    "modality.text.noise": ({"type": "loglinear"}, ""),
    "modality.text.objective": ({"type": "nelbo"}, ""),
}
"""The same of every component of ours; `...`: it must be said."""

KINDS = {
    "dataset": ("python-docs", "training"),
    "tokenizer": ("bpe", "training"),
    "noise": ("loglinear", "training"),
    "corruption": ("absorbing", "training"),
    "objective": ("nelbo", "training"),
    "head": ("text", "training"),
    "backbone": ("transformer", "training"),
    "conditioner": ("none", "training"),
    "modalities": ([], "nothing"),  # while there are none
    "optimizer": ("adamw", "training"),
    "lr_schedule": ("cosine", "training"),
    "sampler": ("ancestral", "evaluation"),
    "quantizer": ("none", "evaluation"),
    "metrics": (["nelbo", "likelihood", "twin", "entropy", "distinct"], "evaluation"),
    "levels": (["l1-control", "l2-lora", "l3-unfreeze"], "evaluation"),
    "policy": ("ladder", "evaluation"),
    "evidence": ([], "evaluation"),
    "storage": ("arrow", "nothing"),
    "embedding": ("hashing", "nothing"),
    "trackers": (["jsonl"], "nothing"),
    "executor": ("processes", "nothing"),
    "reports": (["tables", "html"], "nothing"),
}
"""Section to its default, and what a change makes void."""

UNSET = {
    "diffusion.block_size",
    "training.init_from",
    "training.patience",
    "sampling.top_k",
    "sampling.length",
    "sampling.block_size",
    "evaluation.max_tokens",
    "evaluation.task",
    "evolution.level",
}

BESIDE = {
    "backbone.transformer.kv_heads": {"heads": 1024},
    "backbone.transformer.rotary_dim": {"head_dim": 65_536},
    "diffusion.block_size": {"length": 2**20},
    "backbone.transformer.heads": {"dim": 2**16},
    "dataset.sudoku.box_columns": {"box_rows": 1},
    "modality.mel.group": {"frames": 2**16},
    "modality.mel.hop": {"window": 2**17},
    "modality.pixels.patch": {"size": (256, 256)},
    "noise.cubic.end": {"start": 1.0},
    "sampler.remdm-loop.t_off": {"t_on": 1.0},
}
"""What else must be said, for the bounds of a key to be taken."""

INSTALLED = {
    offer.key: offer
    for offer in Registry.discover().offers()
    if offer.distribution == "ai-os-diffusion"
}


def table(cls, path):
    """Every key of a class and of those inside it: its class, its attribute."""
    for key, attribute in fields(cls).items():
        if "kind" in attribute.metadata:
            continue
        hint = hints(cls)[attribute.name]
        if attrs.has(hint):
            yield from table(hint, f"{path}{key}.")
        else:
            yield f"{path}{key}", (cls, attribute)


CLASS = config_class(tuple(kinds.KINDS.values()))

SECTIONS = dict(table(CLASS, ""))
FIELDS = SECTIONS | {
    name: row
    for key, component in INSTALLED.items()
    for name, row in table(component.load(), f"{key}.")
    if name != "tokenizer.tiktoken.pattern"
}
PROMISED = {**CONFIG, **COMPONENTS}


def default(attribute):
    value = attribute.default
    if PART in attribute.metadata:
        return attribute.metadata[PART]
    if isinstance(value, attrs.Factory):
        return value.factory()
    return ... if value is attrs.NOTHING else value


def test_defaults_are_what_was_promised():
    assert {name: promise[0] for name, promise in PROMISED.items()} == {
        name: default(attribute) for name, (_, attribute) in FIELDS.items()
    }


@pytest.mark.parametrize("name", [name for name, promise in PROMISED.items() if promise[1]])
def test_numbers_are_taken_to_their_bounds_and_no_further(name):
    interval, (cls, attribute) = PROMISED[name][1], FIELDS[name]
    least, most = (eval(bound, {}) for bound in interval[1:-1].split(", "))
    many = typing.get_origin(hints(cls)[attribute.name]) is tuple

    def taken(value):
        probe = object.__new__(cls)
        for each in attrs.fields(cls):
            object.__setattr__(probe, each.name, default(each))
        for key, other in BESIDE.get(name, {}).items():
            object.__setattr__(probe, key, other)
        try:
            attribute.validator(probe, attribute, (value,) if many else value)
        except ValueError:
            return False
        return True

    def beyond(value, way):
        return math.nextafter(value, way * math.inf) if type(value) is float else value + way

    for bound, closed, way in ((least, interval[0] == "[", -1), (most, interval[-1] == "]", 1)):
        inside = bound if closed else beyond(bound, -way)
        assert [True, False] == [taken(inside), taken(beyond(inside, way))], bound


def test_what_a_key_makes_void_is_what_was_promised():
    """Of what is trained: training and evaluation; of what is measured: evaluation alone."""
    given: dict = {"roles": {}, "tasks": {"fill": {}}}
    for name in UNSET:
        section, _, key = name.partition(".")
        value = {
            "evolution.level": "l2-lora",
            "training.init_from": "run",
            "evaluation.task": "fill",
        }.get(name, 128)
        given.setdefault(section, {})[key] = value
    resolved = resolve(given)

    def holds(values, name):
        for key in name.split("."):
            if key not in values:
                return False
            values = values[key]
        return True

    result = {}
    for name in CONFIG:
        assert holds(resolved.values, name), name
        trained, measured = (
            keys._values(resolved, affects, None)
            for affects in (("training",), ("training", "evaluation"))
        )
        result[name] = (
            "training"
            if holds(trained, name)
            else "evaluation"
            if holds(measured, name)
            else "nothing"
        )
    assert {name: promise[2] for name, promise in CONFIG.items()} == result


def test_what_a_kind_makes_void_and_its_default_are_what_was_promised():
    resolved = resolve({})
    trained, measured = (
        keys._values(resolved, affects, None)
        for affects in (("training",), ("training", "evaluation"))
    )

    def named(value):
        return [each["type"] for each in value] if isinstance(value, list) else value["type"]

    assert KINDS == {
        name: (
            named(resolved.values[name]),
            "training" if name in trained else "evaluation" if name in measured else "nothing",
        )
        for name, attribute in fields(CLASS).items()
        if "kind" in attribute.metadata
    }


def test_where_memories_lie_makes_nothing_void():
    """What is in a store counts, by its fingerprint."""
    values = {"type": "memory", "k": 2, "dim": 8}
    trained = [
        keys._values(resolve({"conditioner": {**values, **place}}), ("training",), None)
        for place in ({"store": "here"}, {"store": "there"}, {"uri": "elsewhere"})
    ]
    counted = {"type", "k", "dim", "num_tokens", "heads", "dropout"}

    assert [counted] * 3 == [set(values["conditioner"]) for values in trained]
    assert trained[0] == trained[1] == trained[2]
