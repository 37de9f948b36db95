"""Makes the file of the data set `digits`: python make_digits.py digits.csv.gz out.npz

The pictures are the test set of the UCI optical digits (E. Alpaydin and C. Kaynak, CC BY 4.0), as
scikit-learn's wheel has them: 64 counts from 0 to 16 and a class a line. The speech is made here by
flite (Debian's package; its voices are free of conditions on what they say) at 8 kHz.
"""

import io
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VOICES = ("kal", "awb", "rms", "slt")
TAKES = ({"duration_stretch": "0.75"}, {"duration_stretch": "0.95", "int_f0_target_stddev": "30"})
RATE, LONGEST, QUIET = 8000, 3600, 0.02


def spoken(word, voice, settings):
    """(N,) samples of a word from its first to its last loud one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        options = [part for key, value in settings.items() for part in ("--setf", f"{key}={value}")]
        command = ["flite", "-voice", voice, *options, "-t", word, "-o", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        with wave.open(io.BytesIO(path.read_bytes())) as file:
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    if rate != RATE:  # the mean of neighbours takes away most of what would fold over
        kernel = np.hanning(9)
        samples = np.convolve(samples, kernel / kernel.sum(), "same")
        places = np.arange(int(len(samples) * RATE / rate)) * rate / RATE
        samples = np.interp(places, np.arange(len(samples)), samples)
    samples = samples / np.abs(samples).max() * 0.9
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    return samples[max(loud[0] - 80, 0) : loud[-1] + 160][:LONGEST]


def mu_law(samples):
    """256 levels."""
    y = np.sign(samples) * np.log1p(255 * np.abs(samples)) / np.log1p(255)
    return np.floor((y + 1) / 2 * 256).clip(0, 255).astype(np.uint8)


def main(source, target):
    """Write the file."""
    lines = np.loadtxt(source, delimiter=",").astype(np.uint8)
    clips, lengths, words, takes = [], [], [], []
    for number, word in enumerate(WORDS):
        for voice in VOICES:
            for take in TAKES:
                clips.append(mu_law(spoken(word, voice, take)))
                lengths.append(len(clips[-1]))
                words.append(number)
                takes.append(len(takes) % (len(VOICES) * len(TAKES)))
    np.savez_compressed(
        target,
        pixels=lines[:, :64],
        classes=lines[:, 64],
        speech=np.concatenate(clips),
        lengths=np.array(lengths, np.uint16),
        words=np.array(words, np.uint8),
        takes=np.array(takes, np.uint8),
    )
    print(Path(target).stat().st_size, "bytes,", len(clips), "clips, longest", max(lengths) / RATE)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
