"""JointEngine: any segments from any others, by a trained network of several modalities."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import evolve, frozen
from torch import Tensor

from aios_core.config import resolve
from aios_core.contracts import Sampler, Vocabulary
from aios_core.diffusion.lockstep import Guidance, Lockstep, Made, Target
from aios_core.diffusion.random import row_seed
from aios_core.errors import DataError, InferenceError
from aios_core.joint.patterns import Trained, patterns_of
from aios_core.joint.trained import TrainedJoint, load
from aios_core.training import device as devices

if TYPE_CHECKING:
    from aios_core.contracts import Codec, Shown


@frozen(eq=False)
class JointOutput:
    """What was made for N rows."""

    items: dict[str, list[Any]]
    """By the name of the segment: texts, uint8 pictures (H, W, C), `Sound`s, one a row."""
    shown: dict[str, list[Shown]]
    """The same as files: UTF-8, PNG, WAV."""
    seed: int
    """Of all rows; row i follows from it and i."""
    nfe: int
    """Calls of the network, each for all rows: those of the longest segment of each stage."""
    seconds: float


@frozen(eq=False, slots=False)
class JointEngine:
    """A network of several modalities, ready to be asked.

    As in ``JointEngine.load("runs/digits").diffuse("seven", modality="image")``.
    """

    trained: TrainedJoint

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        overrides: Sequence[str] = (),
        device: str | None = None,
    ) -> JointEngine:
        """Read a run of several modalities.

        Args:
            folder: of the run.
            overrides: ``key=value`` each, of its settings of sampling.
            device: a torch device; None: that of the run's configuration.

        Raises:
            ModelLoadError: there is none, or it is damaged.
        """
        trained = load(Path(folder))
        if overrides:
            changed = resolve(trained.resolved.values, overrides=overrides)
            trained = evolve(trained, resolved=changed)
        training = trained.resolved.config.training
        if device is not None:
            training = evolve(training, device=device)
        trained.model.to(devices.choose(training))
        return cls(trained)

    def sampler(self, name: str) -> Sampler:
        """A sampler by its registry name, with its defaults.

        Raises:
            PluginError: there is none.
        """
        made: Sampler = self.trained.resolved.registry.get("sampler", name).load()()
        return made

    @cached_property
    def known(self) -> Trained:
        """What the network has learned to be asked."""
        config = self.trained.resolved.config
        return Trained(patterns_of(config, self.trained.groups))

    def diffuse(self, prompt: str, *, modality: str, **options: Any) -> list[Any]:
        """Items of one modality from a text.

        Args:
            prompt: the text.
            modality: name of what is made.
            options: those of `generate`.

        Returns:
            Arrays of pictures, sounds or texts, one for each of ``num_return_sequences``.

        Raises:
            InferenceError, DataError: as for `generate`.
        """
        return self.generate({"text": prompt}, to=[modality], **options).items[modality]

    @torch.no_grad()
    def generate(
        self,
        given: Mapping[str, Any],
        *,
        to: Sequence[str],
        num_return_sequences: int = 1,
        seed: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | Mapping[str, float] = 1.0,
        guidance_interval: tuple[float, float] = (0.0, 1.0),
        temperature: float | None = None,
        order: Sequence[Sequence[str]] | None = None,
        mask: Any = None,
        sampler: Sampler | None = None,
    ) -> JointOutput:
        """Make segments given others.

        Args:
            given: items by name. One that is to be made as well is continued: of a sound all that
                it has stays, of a picture all outside of ``mask``.
            to: names of what is made.
            num_return_sequences: N.
            seed: unset: that of the run. Row i follows from it and i.
            num_inference_steps: of samplers that have steps; unset: as configured.
            guidance_scale: 1 asks the network once; more follows what is given more closely; by
                name, or one for all that is given.
            guidance_interval: times between which guidance applies.
            temperature: of tokens; unset: as configured.
            order: names of ``to`` in stages, each seeing what was made before; unset: all at once.
            mask: (H, W) bool, what of a given picture is to be painted anew.
            sampler: instead of the run's.

        Raises:
            InferenceError: names do not go together, or what is asked was never trained.
            DataError: an item is not what its modality takes.
        """
        began = time.perf_counter()
        partial = [name for name in to if name in given]
        stages = [list(to)] if order is None else [list(stage) for stage in order]
        self._check_names(given, to, num_return_sequences, mask, partial)
        whole = {name: item for name, item in given.items() if name not in partial}
        scales = self._scales(guidance_scale, whole)
        self.known.check(whole, stages, scales)
        config = self.trained.resolved.config
        seed = config.seed if seed is None else seed
        seeds = [row_seed(seed, row) for row in range(num_return_sequences)]
        targets = {}
        for name in to:
            chosen = self._sampler(name, sampler, num_inference_steps)
            start, fixed = (None, None)
            if name in partial:
                start, fixed = self._partial(name, given[name], mask, num_return_sequences)
            heat = config.sampling.temperature if temperature is None else temperature
            targets[name] = Target(chosen, start, fixed, heat, config.sampling.spacing)
        states = {
            name: self._state(name, item).expand(num_return_sequences, *self._shape(name))
            for name, item in whole.items()
        }
        guidance = {name: Guidance(scale, guidance_interval) for name, scale in scales.items()}
        made = Lockstep(self.trained.model, guidance).sample(
            states, targets, seeds=seeds, order=order
        )
        return self._output(made, to, given=given, mask=mask, began=began, seed=seed)

    def _output(
        self,
        made: Made,
        to: Sequence[str],
        *,
        given: Mapping[str, Any],
        mask: Any,
        began: float,
        seed: int,
    ) -> JointOutput:
        items = {
            name: [
                self._kept(name, self._codec(name).decode(row), given, mask)
                for row in made.states[name].cpu().numpy()
            ]
            for name in to
        }
        shown = {
            name: [self._codec(name).show(item) for item in each] for name, each in items.items()
        }
        return JointOutput(items, shown, seed, made.nfe, time.perf_counter() - began)

    @torch.no_grad()
    def batch(
        self,
        given: Mapping[str, Sequence[Any]],
        *,
        to: Sequence[str],
        first: int,
        count: int,
        guidance_scale: float = 1.0,
        order: Sequence[Sequence[str]] | None = None,
    ) -> JointOutput:
        """Segments of rows that differ in what is given, by the run's settings.

        Args:
            given: items by name, one a row.
            to: names of what is made.
            first: number of the first row, which decides its draws.
            count: B, rows.
            guidance_scale: of all that is given.
            order: as for `generate`.

        Raises:
            InferenceError, DataError: as for `generate`.
        """
        began, config = time.perf_counter(), self.trained.resolved.config
        scales = self._scales(guidance_scale, given)
        self.known.check(given, [list(to)] if order is None else order, scales)
        sampling = config.sampling
        targets = {
            name: Target(
                self._sampler(name, None, None),
                temperature=sampling.temperature,
                spacing=sampling.spacing,
            )
            for name in to
        }
        states = {
            name: torch.cat([self._state(name, item) for item in each])
            for name, each in given.items()
        }
        made = Lockstep(
            self.trained.model, {name: Guidance(scale) for name, scale in scales.items()}
        ).sample(
            states,
            targets,
            seeds=[row_seed(config.seed, row) for row in range(first, first + count)],
            order=order,
        )
        return self._output(made, to, given={}, mask=None, began=began, seed=config.seed)

    def _codec(self, name: str) -> Codec:
        return self.trained.codecs[name]

    def _check_names(
        self, given: Mapping[str, Any], to: Sequence[str], rows: int, mask: Any, partial: list[str]
    ) -> None:
        names = ", ".join(self.trained.codecs)
        if unknown := [name for name in (*given, *to) if name not in self.trained.codecs]:
            raise InferenceError(f"no modality {unknown[0]!r} in this run; expected one of {names}")
        if not to or len(set(to)) < len(to):
            raise InferenceError(f"to make: {list(to)}; expected names, each once, of {names}")
        if rows < 1:
            raise InferenceError(f"num_return_sequences is {rows}; expected at least 1")
        pictures = [name for name in partial if len(self._codec(name).grid) == 2]
        if (mask is not None) != bool(pictures):
            raise InferenceError(
                "a mask is for a picture that is given and to be made, which this is not; leave it "
                "out"
                if mask is not None
                else f"{pictures[0]!r} is given and to be made; expected "
                "a mask of what is to be painted anew"
            )

    def _scales(
        self, guidance: float | Mapping[str, float], given: Mapping[str, Any]
    ) -> dict[str, float]:
        if isinstance(guidance, Mapping):
            if unknown := [name for name in guidance if name not in given]:
                raise InferenceError(
                    f"guidance by {unknown[0]!r}, which is not given; expected one of "
                    f"{', '.join(given) or 'nothing'}"
                )
            scales = dict(guidance)
        else:
            scales = dict.fromkeys(given, float(guidance))
        if wrong := [scale for scale in scales.values() if not np.isfinite(scale)]:
            raise InferenceError(f"a guidance scale is {wrong[0]}; expected a finite number")
        return {name: scale for name, scale in scales.items() if scale != 1}

    def _sampler(self, name: str, given: Sampler | None, steps: int | None) -> Sampler:
        """The run's, or the default one where that does not serve the segment."""
        space = type(self.trained.model.part(name).process.space)
        sampler = given or self.trained.resolved.config.sampler
        if space not in sampler.spaces and given is None:
            registry = self.trained.resolved.registry
            sampler = registry.get("sampler", str(registry.kinds["sampler"].default)).load()()
        if steps is not None and hasattr(sampler, "steps"):
            sampler = evolve(sampler, steps=steps)  # type: ignore[misc]
        return sampler

    def _shape(self, name: str) -> tuple[int, ...]:
        space = self._codec(name).space
        length = self._codec(name).length
        return (length,) if isinstance(space, Vocabulary) else (length, space.width)

    def _state(self, name: str, item: Any) -> Tensor:
        """(1, L) or (1, L, C) of an item."""
        try:
            state = torch.from_numpy(np.asarray(self._codec(name).encode(item)))
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
        return (state.long() if not state.is_floating_point() else state)[None]

    def _partial(self, name: str, item: Any, mask: Any, rows: int) -> tuple[Tensor, Tensor]:
        """A state, and which of its positions stay."""
        codec = self._codec(name)
        state = self._state(name, item).expand(rows, *self._shape(name))
        known = codec.known(item) if mask is None else _unpainted(codec, item, mask)
        return state, torch.from_numpy(known).expand(rows, codec.length)

    def _kept(self, name: str, made: Any, given: Mapping[str, Any], mask: Any) -> Any:
        """A picture with the pixels that were given, to the bit."""
        if mask is None or name not in given or len(self._codec(name).grid) != 2:
            return made
        keep = ~np.asarray(mask, bool)[..., None]
        return np.where(keep, np.asarray(given[name]).reshape(made.shape), made)


def _unpainted(codec: Codec, item: Any, mask: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(L,) bool: the patches without a pixel that is to be painted.

    Raises:
        DataError: the mask is of another size.
    """
    marks, size = np.asarray(mask), np.asarray(item).shape[:2]
    if marks.shape != size:
        raise DataError(f"the mask has shape {marks.shape}; expected {size}, as the picture")
    down, across = codec.grid
    parts = marks.astype(bool).reshape(down, size[0] // down, across, size[1] // across)
    free: np.ndarray[Any, np.dtype[np.bool_]] = ~parts.any((1, 3)).reshape(-1)
    return free
