"""Masked diffusion: corruption, denoiser, objective, and the loop around a sampler."""
