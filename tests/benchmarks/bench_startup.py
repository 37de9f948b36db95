"""How long the command line takes to start: medians of fresh processes.

    make bench AREA=startup

``aios plugins list`` is measured beside twenty more plugins, installed as an installer would.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import Recorder
from result import Bar

from aios_core.testing.fixtures import write_plugin

PLUGIN = """
import aios_core
from attrs import field, frozen
from aios_core.contracts import NoiseScheduler

AIOS_API = 1

@frozen
class Schedule(NoiseScheduler):
    '''One of many.'''

    k: float = 2.0

    def alpha(self, t):
        return 1 - t**self.k

@aios_core.hookimpl
def aios_noise_schedulers():
    return {{"bench-{number}": Schedule}}
"""

BARS = {"--version": None, "--help": 0.2, "plugins list": 0.25}
"""Command to the most seconds that it may take on an idle machine."""


def seconds(arguments: list[str], environ: dict[str, str]) -> float:
    """Wall clock of one process."""
    code = "from aios_core.cli import main; main()"
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environ, check=True, capture_output=True
    )
    return time.perf_counter() - start


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--plugins", type=int, default=20)
    options = parser.parse_args()
    record = Recorder("startup")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.plugins):
            source = PLUGIN.format(number=number)
            write_plugin(Path(folder), source, module=f"aios_bench_{number}")
        inherited = os.environ.get("PYTHONPATH")
        environ = dict(os.environ)
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, inherited)))
        for command, bar in BARS.items():
            times = [seconds(command.split(), environ) for _ in range(options.repeat + 1)][1:]
            record(
                f"aios {command}, {options.plugins} more plugin packages installed",
                statistics.median(times),
                unit="s",
                bar=None if bar is None else Bar("ours", most=bar),
                headline=bar is not None,
                how=f"median of {options.repeat} fresh processes, wall-clock time",
                worst_s=max(times),
            )


if __name__ == "__main__":
    main()
