"""Speech by a synthesizer that is installed as a program."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from aios_core.errors import DataError
from aios_plugins.datasets._media import content, sound

if TYPE_CHECKING:
    from aios_core.contracts import Sound

Program: TypeAlias = Literal["flite", "espeak-ng"]

_SECONDS: Final = 60
"""That one text may take."""
_WORDS_A_MINUTE: Final = 175
"""Of espeak-ng at speed 1."""


def check_voices(program: Program, voices: tuple[str, ...]) -> None:
    """Refuse voices that the program would replace by another without a word.

    Args:
        program: the synthesizer.
        voices: names; of espeak-ng also with a variant, as in ``en-us+f3``.

    Raises:
        DataError: it is not installed, or has no such voice.
    """
    for voice in voices:
        name, _, variant = voice.partition("+")
        if program == "flite":
            known = _printed(program, "-lv").partition(":")[2].split()
            if voice not in known:
                raise DataError(
                    f"flite has no voice {voice!r}; expected one of {', '.join(sorted(known))}"
                )
            continue
        files = {line.split()[4] for line in _printed(program, "--voices=variant").splitlines()}
        if variant and f"!v/{variant}" not in files:
            raise DataError(f"espeak-ng has no variant {variant!r}, as in {name}+f3")


def spoken(program: Program, voice: str, text: str, speed: float, rate: int) -> Sound:
    """A text as speech; the same one each time.

    Args:
        program: the synthesizer.
        voice: that `check_voices` accepted.
        text: printable; flite reads ASCII alone.
        speed: 1 is the usual one of the voice.
        rate: samples a second.

    Raises:
        DataError: the program is not installed, fails or takes too long, or the text is not what
            it reads.
        MissingExtraError: soundfile is not installed.
    """
    where, text = f"{text!r:.80} by {program}", " ".join(text.split())
    if not text.isprintable() or not text or (program == "flite" and not text.isascii()):
        letters = "of ASCII " if program == "flite" else ""
        raise DataError(f"{where}: expected a text {letters}that is printable and not blank")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written, made = folder / "text", folder / "speech.wav"
        written.write_text(text, encoding="utf-8")
        if program == "flite":
            how = ["-voice", voice, "--setf", f"duration_stretch={1 / speed:.6f}"]
            how += ["-f", str(written), "-o", str(made)]
        else:
            how = ["-v", voice, "-s", str(round(_WORDS_A_MINUTE * speed)), "-b", "1"]
            how += ["-f", str(written), "-w", str(made)]
        _run(program, *how)
        return sound(content(made, where), where, rate, mono=False)


@cache
def _printed(program: Program, *words: str) -> str:
    return _run(program, *words)


def _run(program: Program, *words: str) -> str:
    """What a program prints.

    Raises:
        DataError: it is not installed, or fails.
    """
    path = shutil.which(program)
    if path is None:
        raise DataError(
            f"the program {program!r} is not installed; expected it on the PATH (a package of this "
            "name is in most distributions), or dataset.speech left out"
        )
    try:
        done = subprocess.run(  # noqa: S603  # no shell, and texts are in a file
            [path, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"{program}: {error!s:.200}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise DataError(f"{program}: ended with {done.returncode}: {said:.200}")
    return done.stdout.decode(errors="replace")
