"""Guidance: denoisers that lead another one somewhere. Samplers never know.

It acts on the prediction of the clean tokens. For masks, of which all else stays as it is, that is
the same as guiding a reverse step; under other noise arXiv 2412.10193 guides the step instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from aios_core.diffusion.denoiser import substitute
from aios_core.errors import InferenceError

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Denoiser


class ClassifierFree:
    """Log p proportional to gamma log p_conditional + (1 - gamma) log p_unconditional.

    Gamma 1 is the conditional prediction and 0 the unconditional one, of which then the other is
    not asked for; more than 1 leads away from the unconditional one. What the condition makes
    impossible stays so. (arXiv 2207.12598; for discrete diffusion arXiv 2412.10193.)

    Args:
        conditional: conditioned.
        unconditional: without a condition, or with another to lead away from.
        gamma: the scale; LLaDA's ``cfg_scale`` w is gamma - 1.
        mask_id: token id of the mask.
        absorbing: whether noise is masks alone, so that all other tokens are clean.
    """

    def __init__(
        self,
        conditional: Denoiser,
        unconditional: Denoiser,
        gamma: float,
        mask_id: int,
        *,
        absorbing: bool = True,
    ) -> None:
        self.conditional, self.unconditional = conditional, unconditional
        self.gamma, self.mask_id, self.absorbing = gamma, mask_id, absorbing
        self.time_conditioned = conditional.time_conditioned or unconditional.time_conditioned

    @classmethod
    def of_cfg_scale(
        cls, conditional: Denoiser, unconditional: Denoiser, scale: float, mask_id: int
    ) -> ClassifierFree:
        """In the convention u + (w + 1)(c - u) of LLaDA (arXiv 2502.09992)."""
        return cls(conditional, unconditional, scale + 1, mask_id)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Log-probabilities (B, L, V) of the clean tokens, given x (B, L) at times t (B,)."""
        if self.gamma == 1:
            return self.conditional(x, t)
        away = self.unconditional(x, t)
        known = x if self.absorbing else torch.full_like(x, self.mask_id)
        if self.gamma == 0:
            return substitute(away.clone(), known, self.mask_id, away.dtype)
        toward = self.conditional(x, t)
        # In differences, and bounded, for infinities of both signs would add up to NaN.
        least = torch.finfo(torch.float32).min
        mixed = away.clamp(min=least) + self.gamma * (
            toward.clamp(min=least) - away.clamp(min=least)
        )
        mixed.masked_fill_(toward == -torch.inf, -torch.inf)
        return substitute(mixed, known, self.mask_id, toward.dtype)


class Reprompted:
    """A denoiser conditioned on another prompt, or on none, than stands in the text.

    It answers for the positions behind the prompt, wherever the other prompt has moved them.

    Args:
        denoiser: sees rows of ``take``'s width.
        extra: (E,) tokens to take from; a mask hides what was there.
        take: (B, M) what each position of the other text is: a position of the text, or L + e for
            the e-th of ``extra``.
        back: (B, L) where each position of the text stands in the other.
    """

    def __init__(self, denoiser: Denoiser, extra: Tensor, take: Tensor, back: Tensor) -> None:
        self.denoiser, self.extra, self.take, self.back = denoiser, extra, take, back
        self.time_conditioned = denoiser.time_conditioned

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Log-probabilities (B, L, V); those of the prompt mean nothing."""
        other = torch.cat((x, self.extra.expand(len(x), -1)), 1).gather(1, self.take)
        answer = self.denoiser(other, t)
        return answer.gather(1, self.back[..., None].expand(-1, -1, answer.shape[-1]))


class Classifier(Protocol):
    """Says how well a text, masks and all, fits what is wanted."""

    def log_prob(self, states: Tensor, t: Tensor) -> Tensor:
        """(N,) log p(wanted | states), for one-hot states (N, L, V) at times t (N,).

        It must be differentiable in the states for first-order guidance.
        """
        ...


class ExactClassifier:
    """Guidance of masks by a classifier, asked for every token at every masked position.

    Log p proportional to log p(token) + gamma log p(wanted | the text with that token): B L V
    calls' worth of work a step, so for small vocabularies (arXiv 2412.10193, equation 8).

    Args:
        denoiser: the prediction to lead.
        classifier: what is wanted.
        gamma: the scale; 0 changes nothing.
        mask_id: token id of the mask.
        chunk: texts that are classified at once.
    """

    time_conditioned = True

    def __init__(
        self,
        denoiser: Denoiser,
        classifier: Classifier,
        gamma: float,
        mask_id: int,
        *,
        chunk: int = 1024,
    ) -> None:
        if chunk < 1:
            raise InferenceError(f"chunk is {chunk}; expected 1 or more")
        self.denoiser, self.classifier, self.gamma = denoiser, classifier, gamma
        self.mask_id, self.chunk = mask_id, chunk

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Log-probabilities (B, L, V) of the clean tokens, given x (B, L) at times t (B,)."""
        log_probs = self.denoiser(x, t)
        vocab = log_probs.shape[-1]
        rows, places = (x == self.mask_id).nonzero(as_tuple=True)
        scores = log_probs.new_empty(len(rows), vocab)
        flat = scores.view(-1)
        for start in range(0, flat.numel(), self.chunk):
            index = torch.arange(start, min(start + self.chunk, flat.numel()), device=x.device)
            which, token = index // vocab, index % vocab
            texts = x[rows[which]].scatter(1, places[which][:, None], token[:, None])
            states = torch.nn.functional.one_hot(texts, vocab).to(log_probs.dtype)
            flat[index] = self.classifier.log_prob(states, t[rows[which]]).to(flat.dtype)
        guided = log_probs.clone()
        guided[rows, places] += self.gamma * scores
        return substitute(guided, x, self.mask_id, log_probs.dtype)


class FirstOrderClassifier:
    """Guidance of masks by a classifier's gradient: one call a step, exact where it is linear.

    Log p(wanted | the text with another token) is taken to change by the difference of the
    gradient's entries of the two tokens (arXiv 2412.10193, section 4.2).

    Args:
        denoiser: the prediction to lead.
        classifier: what is wanted; differentiable.
        gamma: the scale; 0 changes nothing.
        mask_id: token id of the mask.
    """

    time_conditioned = True

    def __init__(
        self, denoiser: Denoiser, classifier: Classifier, gamma: float, mask_id: int
    ) -> None:
        self.denoiser, self.classifier, self.gamma = denoiser, classifier, gamma
        self.mask_id = mask_id

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Log-probabilities (B, L, V) of the clean tokens, given x (B, L) at times t (B,)."""
        log_probs = self.denoiser(x, t)
        with torch.enable_grad():
            states = torch.nn.functional.one_hot(x, log_probs.shape[-1]).to(log_probs.dtype)
            states.requires_grad_()
            (slope,) = torch.autograd.grad(self.classifier.log_prob(states, t).sum(), states)
        # The entry of the mask itself is the same for all tokens and falls out.
        return substitute(log_probs + self.gamma * slope, x, self.mask_id, log_probs.dtype)
