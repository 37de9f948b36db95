"""Log-mel spectrograms and back, in NumPy.

Bands are triangles on the mel scale of HTK, 2595 log10(1 + f / 700). The way back takes the least
squares of the bands and finds phases as Griffin and Lim do (1984), with the momentum of Perraudin
et al. (2013).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR: Final = 1e-3
"""Added to energies before the logarithm: that of noise of a deviation of about 0.003."""

_ROUNDS: Final = 60
_MOMENTUM: Final = 0.99


@cache
def bands(rate: int, window: int, count: int) -> NDArray[np.float64]:
    """(count, window // 2 + 1) weights of the frequencies in each band."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, count + 2) / 2595) - 1)
    frequencies = np.linspace(0, rate / 2, window // 2 + 1)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    weights = np.minimum(rising, falling).clip(0)
    # A band that is narrower than the distance of two frequencies takes the nearest one.
    empty = weights.sum(-1) == 0
    nearest = np.abs(frequencies - edges[1:-1, None]).argmin(-1)
    weights[empty, nearest[empty]] = 1.0
    return np.asarray(weights, np.float64)


@cache
def _inverse(rate: int, window: int, count: int) -> NDArray[np.float64]:
    return np.asarray(np.linalg.pinv(bands(rate, window, count)), np.float64)


@cache
def _hann(window: int) -> NDArray[np.float64]:
    made: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return made


def _frames(samples: NDArray[np.floating], window: int, hop: int) -> NDArray[np.complex128]:
    """(F, window // 2 + 1) spectra of F = N / hop frames, each around its own hop."""
    padded = np.pad(samples.astype(np.float64), (window // 2, window))
    starts = np.arange(len(samples) // hop) * hop
    return np.fft.rfft(padded[starts[:, None] + np.arange(window)] * _hann(window))


def _samples(spectra: NDArray[np.complex128], window: int, hop: int) -> NDArray[np.float64]:
    """The samples whose frames are nearest to some spectra."""
    length = len(spectra) * hop
    total, weight = np.zeros(length + 2 * window), np.zeros(length + 2 * window)
    hann = _hann(window)
    for number, frame in enumerate(np.fft.irfft(spectra, window) * hann):
        place = slice(number * hop, number * hop + window)
        total[place] += frame
        weight[place] += hann * hann
    kept = slice(window // 2, window // 2 + length)
    # The last samples are in the end of one window alone.
    return np.asarray(total[kept] / weight[kept].clip(0.1), np.float64)


def log_mel(
    samples: NDArray[np.floating], rate: int, window: int, hop: int, count: int
) -> NDArray[np.float64]:
    """(F, count) logarithms of the energies in each band, F = N / hop."""
    power = np.abs(_frames(samples, window, hop)) ** 2
    return np.log(power @ bands(rate, window, count).T + FLOOR)


def sound_of(logs: NDArray[np.floating], rate: int, window: int, hop: int) -> NDArray[np.float64]:
    """(F * hop,) samples whose log-mels are about some; the same for the same."""
    energies = np.exp(np.clip(logs, np.log(FLOOR), 30.0)) - FLOOR
    power = (energies @ _inverse(rate, window, logs.shape[1]).T).clip(0)
    size = np.sqrt(power)
    phases = np.exp(2j * np.pi * np.random.default_rng(0).random(size.shape))
    before = np.zeros_like(phases)
    for _ in range(_ROUNDS):
        there = _frames(_samples(size * phases, window, hop), window, hop)
        ahead = there + _MOMENTUM * (there - before)
        phases, before = ahead / np.abs(ahead).clip(1e-12), there
    return _samples(size * phases, window, hop)
