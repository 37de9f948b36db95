"""Every hook: what it collects, what an implementation promises, and an example of a whole plugin.

A hook takes no arguments and returns a dict from names to components: the class, or
``"module:Class"``, which is imported only when it is used. Names are lower-case letters, digits and
hyphens, and say nothing of the distribution. Hooks collect and never choose: in which order plugins
are found has no meaning, and a name that two of them offer is an error until the user's
configuration pins one. A component is a frozen `attrs` class that subclasses the contract of its
kind; it draws no random numbers but those it is given, keeps no state between calls, and raises
errors of `aios_core.errors`.

Each example is a whole plugin file once these lines stand above it; ``my_plugin = "my_plugin"``
under ``[project.entry-points."aios.plugins"]`` of its pyproject.toml makes it known::

    import aios_core
    from aios_core import contracts
    from attrs import field, frozen, validators

    AIOS_API = 1
"""

from __future__ import annotations

import pluggy

from aios_core import PROJECT

hookspec = pluggy.HookspecMarker(PROJECT)


@hookspec
def aios_noise_schedulers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Noise schedules, subclasses of `aios_core.contracts.NoiseScheduler`.

    ``alpha`` decreases from 1 (or nearly) at t = 0 to 0 (or nearly) at t = 1, elementwise, in
    float64. A method that is overridden by a closed form agrees with the one that it overrides.

    Example::

        @frozen
        class Power(contracts.NoiseScheduler):
            '''Keep a token until time t with probability 1 - t**k.'''

            k: float = field(default=2.0, validator=validators.gt(0))
            '''Larger: information is destroyed later.'''

            def alpha(self, t):
                return 1 - t**self.k

        @aios_core.hookimpl
        def aios_noise_schedulers():
            return {"power": Power}
    """


@hookspec
def aios_corruptions() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Corruptions, subclasses of `aios_core.contracts.Corruption`.

    ``noise`` is a distribution at every alpha, whose odds against survival never fall for any token
    while alpha does. One that is ``absorbing`` knows no noise but the mask.

    Example::

        @frozen
        class Mixture(contracts.Corruption):
            '''A mask or any other token, in the same proportion at all times.'''

            masks: float = field(default=0.8, validator=[validators.ge(0), validators.le(1)])

            def noise(self, alpha, vocabulary):
                share = alpha.new_full((vocabulary.size,), (1 - self.masks) / (vocabulary.size - 1))
                share[vocabulary.mask_id] = self.masks
                return share.expand(*alpha.shape, -1)

        @aios_core.hookimpl
        def aios_corruptions():
            return {"mixture": Mixture}
    """


@hookspec
def aios_objectives() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Objectives, subclasses of `aios_core.contracts.Objective`.

    Losses are sums over positions, in nats; padding adds nothing; every parameter of the network
    gets a gradient. One that says it is a ``bound`` averages to a bound of -log p.

    Example::

        @frozen
        class Tempered(contracts.Objective):
            '''The bound with less weight where little is masked: for training, no bound.'''

            power: float = field(default=0.5, validator=validators.ge(0))
            bound = False

            def losses(self, model, x0, valid, times, generator):
                from aios_core.diffusion.objective import nelbo

                return times.mean(-1) ** self.power * nelbo(model, x0, valid, times, generator)

        @aios_core.hookimpl
        def aios_objectives():
            return {"tempered": Tempered}
    """


@hookspec
def aios_samplers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Samplers, subclasses of `aios_core.contracts.Sampler` or its `StepSampler`.

    A sampler never changes a fixed position, leaves no mask behind, draws only from the context
    (one generator a row, so a row never depends on its batch mates), and says when it is exact.

    Example::

        @frozen
        class LeftToRight(contracts.Sampler):
            '''Fill one position after the other, as an autoregressive model would.'''

            exact = "one at a time"

            def sample(self, denoiser, x, context):
                for position in range(x.shape[1]):
                    known = x.new_full((len(x),), position).double() / x.shape[1]
                    log_probs = denoiser(x, context.noise.inverse(known))
                    here = context.masked(x)
                    here[:, :position] = here[:, position + 1 :] = False
                    x = context.categorical(log_probs, here).where(here, x)
                    yield x

        @aios_core.hookimpl
        def aios_samplers():
            return {"left-to-right": LeftToRight}
    """


@hookspec
def aios_projection_heads() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Projection heads, subclasses of `aios_core.contracts.ProjectionHead`.

    The module that ``build`` returns keeps shapes: (B, L) to (B, L, D) and back to (B, L, V).

    Example::

        @frozen
        class Tied(contracts.ProjectionHead):
            '''One matrix for both ways.'''

            def build(self, dim, vocabulary):
                from torch import nn

                class Module(nn.Module):
                    def __init__(self):
                        super().__init__()
                        self.table = nn.Embedding(vocabulary.size, dim)

                    def encode(self, x):
                        return self.table(x)

                    def decode(self, h):
                        return h @ self.table.weight.T

                return Module()

        @aios_core.hookimpl
        def aios_projection_heads():
            return {"tied": Tied}
    """


@hookspec
def aios_backbones() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Backbones, subclasses of `aios_core.contracts.Backbone`.

    The module keeps the shape (B, L, D), lets nothing look at padding and, where it is causal, no
    position look ahead.

    Example::

        @frozen
        class Pointwise(contracts.Backbone):
            '''A network that looks at one position at a time: the floor of any comparison.'''

            dim: int = field(default=64, validator=validators.ge(1))
            time_conditioned = False

            def build(self, *, causal=False):
                from torch import nn

                class Module(nn.Sequential):
                    def forward(self, h, t=None, condition=None):
                        return super().forward(h)

                return Module(nn.Linear(self.dim, self.dim), nn.GELU())

        @aios_core.hookimpl
        def aios_backbones():
            return {"pointwise": Pointwise}
    """


@hookspec
def aios_tokenizers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Tokenizers, subclasses of `aios_core.contracts.Tokenizer`.

    Training on the same texts gives the same ids; what is saved and loaded has the same
    fingerprint; decoding an encoded text gives the text back. A folder that is loaded is untrusted.

    Example::

        class Trained(contracts.TrainedTokenizer):
            vocabulary = contracts.Vocabulary(132, mask_id=128, pad_id=129, bos_id=130, eos_id=131)
            fingerprint = "a5c11"

            def encode(self, text):
                import numpy as np

                return np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int32)

            def decode(self, ids):
                return "".join(chr(i) for i in ids if i < 128)

            def token(self, token_id):
                return chr(token_id) if token_id < 128 else "<special>"

            def save(self, folder):
                pass

        @frozen
        class Ascii(contracts.Tokenizer):
            '''One token a character; what is not ASCII becomes a question mark.'''

            def train(self, texts):
                return Trained()

            def load(self, folder):
                return Trained()

        @aios_core.hookimpl
        def aios_tokenizers():
            return {"ascii": Ascii}
    """


@hookspec
def aios_datasets() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Data sets, subclasses of `aios_core.contracts.Dataset`.

    Documents come in the same order each time, and are read again at each call.

    Example::

        @frozen
        class Counting(contracts.Dataset):
            '''The numbers in decimal, one document each.'''

            upto: int = field(default=1000, validator=validators.ge(10))

            def documents(self):
                return map(str, range(self.upto))

        @aios_core.hookimpl
        def aios_datasets():
            return {"counting": Counting}
    """


@hookspec
def aios_storage_backends() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Storage backends, subclasses of `aios_core.contracts.StorageBackend`.

    Rows, filters and scores mean the same everywhere, so that a store can move from any backend to
    any other; a write is all or nothing. Who wraps a library that only indexes vectors takes
    `aios_core.memory.indexed` and writes the index alone, as here.

    Example::

        from aios_core.memory.indexed import IndexedBackend, VectorIndex

        class Newest(VectorIndex):
            def search(self, vectors, query, k, allowed, *, exact):
                import numpy as np

                rows = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
                rows = rows[::-1][:k]
                return rows, (vectors[rows] @ query).astype(np.float32)

        @frozen
        class Log(IndexedBackend):
            '''Finds what was written last, whatever is asked.'''

            def index(self, dim, metric):
                return Newest()

        @aios_core.hookimpl
        def aios_storage_backends():
            return {"log": Log}
    """


@hookspec
def aios_embedding_providers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Embedding providers, subclasses of `aios_core.contracts.EmbeddingProvider`.

    The same text gets the same vector, whatever stands beside it in a batch. ``encode`` may return
    vectors of any length but 0; those of ``embed`` have length 1.

    Example::

        @frozen
        class Letters(contracts.EmbeddingProvider):
            '''How often each letter occurs.'''

            dim = 27
            fingerprint = "27 letters"
            cached = False

            def encode(self, texts):
                letters = "abcdefghijklmnopqrstuvwxyz"
                return [[1, *map(text.lower().count, letters)] for text in texts]

        @aios_core.hookimpl
        def aios_embedding_providers():
            return {"letters": Letters}
    """


@hookspec
def aios_quantizers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Quantizers, subclasses of `aios_core.contracts.Quantizer`.

    The same weight gives the same bits; what is dequantized has the shape of the weight and is
    finite; the product is that with the dequantized weight, up to a stated rounding of x.

    Example::

        from aios_core.quantization.affine import Affine, AffineQuantizer

        @frozen
        class Clipped(AffineQuantizer):
            '''Round to nearest between three standard deviations.'''

            method = "clipped"

            def fit(self, groups, statistics):
                offset = groups.mean(-1) - 3 * groups.std(-1, unbiased=False)
                scale = (groups.mean(-1) - offset) * 2 / (2**self.bits - 1)
                steps = (groups - offset[..., None]) / scale.clamp(min=1e-7)[..., None]
                return Affine(steps.round().clamp(0, 2**self.bits - 1), scale, offset)

        @aios_core.hookimpl
        def aios_quantizers():
            return {"clipped": Clipped}
    """


@hookspec
def aios_evolution_levels() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Evolution levels, subclasses of `aios_core.contracts.EvolutionLevel`.

    ``adapt`` and ``apply`` leave the model that they are given as it is, tensor by tensor; the same
    experience gives the same adaptation, bit for bit; what it touches stays within the budget.

    Example::

        import torch
        from aios_core.evolution.fitting import fit

        @frozen
        class Bias(contracts.EvolutionLevel):
            '''Learn how often each token comes, and nothing else.'''

            name = "bias"

            learning_rate: float = field(default=0.1, validator=validators.gt(0))
            '''Peak rate of AdamW.'''

            def adapt(self, model, experience, budget):
                shift = torch.zeros(model.vocabulary.size, requires_grad=True)
                rate = self.learning_rate
                fit(self._with(model, shift), [shift], experience, budget, learning_rate=rate)
                return contracts.Adaptation({}, {"shift": shift.detach()}, shift.numel())

            def apply(self, model, adaptation):
                return self._with(model, adaptation.tensors["shift"])

            def _with(self, model, shift):
                fork = model.fork()
                decode = fork.head.decode
                fork.head.decode = lambda h: decode(h) + shift.to(h)
                return fork

        @aios_core.hookimpl
        def aios_evolution_levels():
            return {"bias": Bias}
    """


@hookspec
def aios_metrics() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Metrics, subclasses of `aios_core.contracts.Metric`.

    Names of values are stable and unique to the metric; the same evidence gives the same values;
    an empty dict says that the metric does not apply.

    Example::

        @frozen
        class Characters(contracts.Metric):
            '''How long samples are, in characters.'''

            of = "samples"

            def measure(self, evidence):
                texts = evidence.samples.texts
                return {"characters": contracts.Estimate(sum(map(len, texts)) / len(texts))}

        @aios_core.hookimpl
        def aios_metrics():
            return {"characters": Characters}
    """


@hookspec
def aios_executors() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Executors, subclasses of `aios_core.contracts.Executor`.

    Every job has exactly one outcome, in any order but that of ``after``; a job that fails harms
    none but those that build on it.

    Example::

        @frozen
        class InOrder(contracts.Executor):
            '''One job after the other, in this process.'''

            def run(self, function, jobs, *, after=None, started=lambda key: None):
                schedule = contracts.executor.Schedule(jobs, after)
                while (key := schedule.next()) is not None:
                    started(key)
                    try:
                        outcome = contracts.Outcome(key, value=function(*jobs[key]))
                    except Exception as error:
                        outcome = contracts.Outcome(key, error=str(error))
                    yield from schedule.finish(outcome)

        @aios_core.hookimpl
        def aios_executors():
            return {"in-order": InOrder}
    """


@hookspec
def aios_trackers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Trackers, subclasses of `aios_core.contracts.Tracker`.

    A run that is resumed at a step forgets the later ones; ``finish`` is called once, also after
    an error.

    Example::

        class Printing(contracts.tracker.Tracking):
            def log(self, values, step):
                print(step, dict(values))

            def finish(self):
                pass

        @frozen
        class Print(contracts.Tracker):
            '''Print every record.'''

            def start(self, folder, config):
                return Printing()

        @aios_core.hookimpl
        def aios_trackers():
            return {"print": Print}
    """
