"""Broken parts of runs: what trains, measures, executes and reports."""

import random
import time
from typing import ClassVar

import click
from attrs import evolve

from aios_core.contracts import Estimate, Metric, Outcome, Tracker
from aios_core.contracts.tracker import Tracking
from aios_core.scaffold.examples.command import FirstText
from aios_core.scaffold.examples.executor import InOrder
from aios_core.scaffold.examples.lr_schedule import Polynomial
from aios_core.scaffold.examples.optimizer import Lion
from aios_core.scaffold.examples.report import Lines
from broken_plugins.offers import CALLS, offer


class Unit(Metric):
    """Of the network, a value that is always the same."""

    of = "model"

    def measure(self, evidence):
        return {"one": Estimate(1.0)}


@offer("metric", "nan")
class Nan(Unit):
    def measure(self, evidence):
        return {"nan": Estimate(float("nan"))}


@offer("metric", "listed")
class Listed(Unit):
    def measure(self, evidence):
        return [Estimate(1.0)]


@offer("metric", "random")
class Random(Unit):
    def measure(self, evidence):
        return {"random": Estimate(random.random())}


@offer("metric", "bigger")
class Bigger(Unit):
    better: ClassVar = {"one": "bigger"}


@offer("executor", "losing")
class Losing(InOrder):
    def run(self, function, jobs, *, after=None, started=lambda _: None):
        yield from list(super().run(function, jobs, after=after, started=started))[:-1]


@offer("executor", "fragile")
class Fragile(InOrder):
    def run(self, function, jobs, *, after=None, started=lambda _: None):
        for key, arguments in jobs.items():
            started(key)
            yield Outcome(key, function(*arguments))


@offer("executor", "hasty")
class Hasty(InOrder):
    def run(self, function, jobs, *, after=None, started=lambda _: None):
        return super().run(function, jobs, started=started)


class Quiet(Tracking):
    """Keeps nothing."""

    def log(self, values, step):
        """Nothing."""

    def finish(self):
        """Nothing."""


@offer("tracker", "once")
class Once(Tracker):
    def start(self, folder, config, *, step=0):
        (folder / "log").touch(exist_ok=False)
        return Quiet()


@offer("tracker", "lazy")
class Lazy(Tracker):
    def start(self, folder, config, *, step=0):
        tracking = Quiet()
        tracking.log = lambda values, step: setattr(tracking, "last", step)
        tracking.finish = lambda: tracking.last
        return tracking


@offer("tracker", "alone")
class Alone(Tracker):
    def start(self, folder, config, *, step=0):
        if CALLS.count("open"):
            raise RuntimeError("another run is tracked")
        CALLS.append("open")
        tracking = Quiet()
        tracking.finish = lambda: CALLS.remove("open")
        return tracking


@offer("tracker", "sleepy")
class Sleepy(Tracker):
    def start(self, folder, config, *, step=0):
        time.sleep(0.2)
        return Quiet()


@offer("optimizer", "forgetful")
class Oblivious(Lion):
    def build(self, weights, *, weight_decay):
        stepper = super().build(weights, weight_decay=weight_decay)
        shown = {name: tensor.clone() for name, tensor in stepper.state.items()}
        return Shown(stepper, lambda: shown)


@offer("optimizer", "eager")
class Eager(Lion):
    def build(self, weights, *, weight_decay):
        stepper = super().build(weights, weight_decay=weight_decay)
        step = stepper.step
        stepper.step = lambda rate, **_: step(rate)
        return stepper


@offer("optimizer", "late")
class Late(Lion):
    def build(self, weights, *, weight_decay):
        stepper = super().build(weights, weight_decay=weight_decay)
        return Shown(stepper, lambda: {k: v for k, v in stepper.state.items() if v.any()})


@offer("optimizer", "shrinking")
class Shrinking(Lion):
    def build(self, weights, *, weight_decay):
        return super().build(
            [evolve(weight, role="matrix") for weight in weights], weight_decay=weight_decay
        )


class Shown:
    """A stepper that shows another state than it has."""

    def __init__(self, stepper, state):
        self.step, self._state = stepper.step, state

    @property
    def state(self):
        return self._state()


@offer("lr_schedule", "rising")
class Rising(Polynomial):
    def share(self, progress):
        return 1 + progress


@offer("lr_schedule", "absolute")
class Absolute(Polynomial):
    def rate(self, step, *, steps, peak, warmup):
        return super().rate(step, steps=steps, peak=min(peak, 1.0), warmup=warmup)


@offer("lr_schedule", "sudden")
class Sudden(Polynomial):
    def rate(self, step, *, steps, peak, warmup):
        return super().rate(step, steps=steps, peak=peak, warmup=0) if step else peak


@offer("lr_schedule", "counting")
class Counting(Polynomial):
    def share(self, progress):
        CALLS.append("share")
        return super().share(progress) / (1 + CALLS.count("share"))


@offer("report", "outside")
class Outside(Lines):
    def write(self, results):
        path = results.folder.parent / f"{results.folder.name}-lines.txt"
        path.write_text("outside")
        return path


@offer("report", "once")
class Counted(Lines):
    def write(self, results):
        CALLS.append("written")
        path = super().write(results)
        path.write_text(f"report number {len(CALLS)}")
        return path


@offer("report", "complete")
class Complete(Lines):
    def write(self, results):
        assert all(trial.result["metrics"] for trial in results.trials)
        return super().write(results)


@click.command()
def terse():
    """Print the first text that a configuration trains on."""


@offer("command", "terse")
class Terse(FirstText):
    """Print the first text that a configuration trains on."""

    def build(self):
        return terse


@offer("command", "other")
class OtherLine(FirstText):
    """Print another text."""


@offer("command", "nothing")
class NoCommand(FirstText):
    def build(self):
        return None
