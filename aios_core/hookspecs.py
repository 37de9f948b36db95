"""Every hook: what it collects, and what an implementation promises.

A hook takes no arguments and returns a dict from names to components: the class, or
``"module:Class"``, which is imported only when it is used. Names are lower-case letters, digits and
hyphens, and say nothing of the distribution. Hooks collect and never choose: in which order plugins
are found has no meaning, and a name that two of them offer is an error until the user's
configuration pins one. A component is a frozen `attrs` class that subclasses the contract of its
kind; it draws no random numbers but those it is given, keeps no state between calls, and raises
errors of `aios_core.errors`.

A whole plugin of each kind is in ``aios_core/scaffold/examples``, and ``aios plugins new PATH
--kind KIND`` begins a package with it; ``my_plugin = "my_plugin"`` under
``[project.entry-points."aios.plugins"]`` of a pyproject.toml makes a file known.
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
    """


@hookspec
def aios_corruptions() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Corruptions, subclasses of `aios_core.contracts.Corruption`.

    ``noise`` is a distribution at every alpha, whose odds against survival never fall for any token
    while alpha does. One that is ``absorbing`` knows no noise but the mask.
    """


@hookspec
def aios_objectives() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Objectives, subclasses of `aios_core.contracts.Objective`.

    Losses are sums over positions, in nats; padding adds nothing; every parameter of the network
    gets a gradient. One that says it is a ``bound`` averages to a bound of -log p.
    """


@hookspec
def aios_samplers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Samplers, subclasses of `aios_core.contracts.Sampler` or its `StepSampler`.

    A sampler never changes a fixed position, leaves no mask behind, draws only from the context
    (one generator a row, so a row never depends on its batch mates), and says when it is exact.
    """


@hookspec
def aios_projection_heads() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Projection heads, subclasses of `aios_core.contracts.ProjectionHead`.

    The module that ``build`` returns keeps shapes: (B, L) to (B, L, D) and back to (B, L, V).
    """


@hookspec
def aios_backbones() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Backbones, subclasses of `aios_core.contracts.Backbone`.

    The module keeps the shape (B, L, D), lets nothing look at padding and, where it is causal, no
    position look ahead.
    """


@hookspec
def aios_tokenizers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Tokenizers, subclasses of `aios_core.contracts.Tokenizer`.

    Training on the same texts gives the same ids; what is saved and loaded has the same
    fingerprint; decoding an encoded text gives the text back. A folder that is loaded is untrusted.
    """


@hookspec
def aios_datasets() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Data sets, subclasses of `aios_core.contracts.Dataset`.

    Documents come in the same order each time, and are read again at each call.
    """


@hookspec
def aios_storage_backends() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Storage backends, subclasses of `aios_core.contracts.StorageBackend`.

    Rows, filters and scores mean the same everywhere, so that a store can move from any backend to
    any other; a write is all or nothing. Who wraps a library that only indexes vectors takes
    `aios_core.memory.indexed` and writes the index alone.
    """


@hookspec
def aios_embedding_providers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Embedding providers, subclasses of `aios_core.contracts.EmbeddingProvider`.

    The same text gets the same vector, whatever stands beside it in a batch. ``encode`` may return
    vectors of any length but 0; those of ``embed`` have length 1.
    """


@hookspec
def aios_quantizers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Quantizers, subclasses of `aios_core.contracts.Quantizer`.

    The same weight gives the same bits; what is dequantized has the shape of the weight and is
    finite; the product is that with the dequantized weight, up to a stated rounding of x.
    """


@hookspec
def aios_evolution_levels() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Evolution levels, subclasses of `aios_core.contracts.EvolutionLevel`.

    ``adapt`` and ``apply`` leave the model that they are given as it is, tensor by tensor; the same
    experience gives the same adaptation, bit for bit; what it touches stays within the budget.
    """


@hookspec
def aios_metrics() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Metrics, subclasses of `aios_core.contracts.Metric`.

    Names of values are stable and unique to the metric; the same evidence gives the same values;
    an empty dict says that the metric does not apply.
    """


@hookspec
def aios_executors() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Executors, subclasses of `aios_core.contracts.Executor`.

    Every job has exactly one outcome, in any order but that of ``after``; a job that fails harms
    none but those that build on it.
    """


@hookspec
def aios_trackers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Trackers, subclasses of `aios_core.contracts.Tracker`.

    A run that is resumed at a step forgets the later ones; ``finish`` is called once, also after
    an error.
    """
