"""Plugins of most kinds, each broken in one way; `test_broken.py` says what is told of them.

Schedules and samplers are broken there, in many more ways.
"""

import random
import time
from typing import ClassVar

import click
import torch
from attrs import evolve, frozen
from safetensors.torch import load

import aios_core
from aios_core.contracts import (
    Adaptation,
    Automaton,
    Dataset,
    Estimate,
    Metric,
    Outcome,
    PatternExample,
    Tracker,
)
from aios_core.contracts.reader import FileRow
from aios_core.contracts.tracker import Tracking
from aios_core.diffusion.bounds import CountBound
from aios_core.errors import EvolutionError
from aios_core.kinds import KINDS
from aios_core.scaffold.examples.backbone import Averages
from aios_core.scaffold.examples.checker import Palindrome
from aios_core.scaffold.examples.command import FirstText
from aios_core.scaffold.examples.conditioner import Opening
from aios_core.scaffold.examples.constraint import Brackets
from aios_core.scaffold.examples.corruption import Mixture
from aios_core.scaffold.examples.embedding import Letters
from aios_core.scaffold.examples.executor import InOrder
from aios_core.scaffold.examples.head import Tied
from aios_core.scaffold.examples.history import Line, _read
from aios_core.scaffold.examples.level import Bias
from aios_core.scaffold.examples.lr_schedule import Polynomial
from aios_core.scaffold.examples.objective import Tempered
from aios_core.scaffold.examples.optimizer import Lion
from aios_core.scaffold.examples.policy import Largest
from aios_core.scaffold.examples.quantizer import Clipped
from aios_core.scaffold.examples.reader import Entries
from aios_core.scaffold.examples.report import Lines
from aios_core.scaffold.examples.storage import Exact
from aios_core.scaffold.examples.tensor_format import Hexadecimal
from aios_core.scaffold.examples.tokenizer import Utf8, _Trained
from aios_core.scaffold.examples.uncertainty import Surprise
from aios_core.training.digest import model_digest

AIOS_API = 1
OFFERS = {}
CALLS = [0]


def offer(kind, name):
    """Make a class a component."""

    def made(cls):
        OFFERS.setdefault(kind, {})[name] = frozen(cls)
        return OFFERS[kind][name]

    return made


@offer("corruption", "negative")
class Negative(Mixture):
    def noise(self, alpha, vocabulary):
        share = super().noise(alpha, vocabulary).clone()
        share[..., :2] += torch.tensor([-1.0, 1.0])
        return share


@offer("corruption", "falling")
class Falling(Mixture):
    def noise(self, alpha, vocabulary):
        share = super().noise(alpha, vocabulary).clone()
        share[..., 0] *= alpha**3
        return share / share.sum(-1, keepdim=True)


@offer("corruption", "absorbed")
class Absorbed(Mixture):
    absorbing = True


@offer("objective", "mean")
class Mean(Tempered):
    def score(self, noisy, prediction, context):
        return super().score(noisy, prediction, context).mean()


@offer("objective", "padded")
class Padded(Tempered):
    def draw(self, x0, targets, times, random, context):
        return super().draw(x0, torch.ones_like(targets), times, random, context)


@offer("objective", "heedless")
class Heedless(Padded):
    """Noises what is given."""


@offer("objective", "greedy")
class Charging(Tempered):
    def score(self, noisy, prediction, context):
        return super().score(noisy, prediction, context) + (~noisy.targets).sum(-1)


@offer("objective", "short")
class ByAll(CountBound):
    """As if as many were masked among all that is there."""

    bound = True

    def draw(self, x0, targets, times, random, context):
        noisy = super().draw(x0, targets, times, random, context)
        share = targets.double().mean(-1, keepdim=True)
        return evolve(noisy, weight=noisy.weight * share)


@offer("objective", "global")
class Global(Tempered):
    def score(self, noisy, prediction, context):
        losses = super().score(noisy, prediction, context)
        return losses + torch.rand(len(losses))


def changed(module, name, change):
    """A module whose method gives something else."""
    method = getattr(module, name)
    setattr(module, name, lambda *given: change(method(*given)))
    return module


@offer("head", "narrow")
class Narrow(Tied):
    def build(self, dim, space):
        return changed(super().build(dim, space), "decode", lambda logits: logits[..., 1:])


@offer("head", "mixing")
class Mixing(Tied):
    def build(self, dim, space):
        return changed(super().build(dim, space), "decode", lambda y: y - y.mean(1, True))


@offer("head", "idle")
class Idle(Tied):
    def build(self, dim, space):
        module = super().build(dim, space)
        module.unused = torch.nn.Parameter(torch.ones(3))
        return module


@offer("backbone", "prophet")
class Prophet(Averages):
    def build(self, *, causal=False):
        return super().build(causal=False)


@offer("backbone", "blind")
class Blind(Averages):
    def build(self, *, causal=False):
        return super().build(causal=True)


@offer("backbone", "padded")
class PaddedBackbone(Averages):
    def build(self, *, causal=False):
        module = super().build(causal=causal)
        forward = module.forward
        module.forward = lambda h, t=None, condition=None: forward(h, t, None)
        return module


@offer("quantizer", "coarse")
class Coarse(Clipped):
    def fit(self, groups, statistics):
        found = super().fit(groups, statistics)
        return evolve(found, codes=found.codes // 4 * 4)


@offer("quantizer", "shifted")
class Shifted(Clipped):
    def dequantize(self, tensor):
        return super().dequantize(tensor) + 1


@offer("quantizer", "writing")
class Writing(Clipped):
    def quantize(self, weight, statistics=None):
        return super().quantize(weight.mul_(2), statistics)


class Cut(_Trained):
    def encode(self, text):
        return super().encode(text)[:512]


class Forged(_Trained):
    def encode(self, text):
        ids = super().encode(text)
        return ids[:1] * 0 + 256 if text == "<mask>" else ids


class Forgotten(_Trained):
    fingerprint = "another"


@offer("tokenizer", "cutting")
class Cutting(Utf8):
    def train(self, texts):
        return Cut()


@offer("tokenizer", "forging")
class Forging(Utf8):
    def train(self, texts):
        return Forged()


@offer("tokenizer", "forgetful")
class Forgetful(Utf8):
    def load(self, folder):
        return Forgotten()


@offer("embedding", "short")
class Short(Letters):
    def encode(self, texts):
        return [row[1:] for row in super().encode(texts)]


@offer("embedding", "relative")
class Relative(Letters):
    def encode(self, texts):
        return [[*row[:-1], len(texts)] for row in super().encode(texts)]


@offer("embedding", "alike")
class Alike(Letters):
    def encode(self, texts):
        return [[1.0] * self.dim for _ in texts]


@offer("dataset", "text")
class Text(Dataset):
    def documents(self):
        return "all in one"


@offer("dataset", "numbers")
class Numbers(Dataset):
    def documents(self):
        return range(100)


@offer("dataset", "shuffled")
class Shuffled(Dataset):
    def documents(self):
        CALLS[0] += 1
        return [str(n + CALLS[0]) for n in range(100)]


class One(Metric):
    """Of the network, a value that is always the same."""

    of = "model"

    def measure(self, evidence):
        return {"one": Estimate(1.0)}


@offer("metric", "nan")
class Nan(One):
    def measure(self, evidence):
        return {"nan": Estimate(float("nan"))}


@offer("metric", "listed")
class Listed(One):
    def measure(self, evidence):
        return [Estimate(1.0)]


@offer("metric", "random")
class Random(One):
    def measure(self, evidence):
        return {"random": Estimate(random.random())}


@offer("metric", "bigger")
class Bigger(One):
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


def sourced(name, change):
    """Open a source of which a method gives something else."""

    def open_source(self, *given, **named):
        return changed(Opening.open(self, *given, **named), name, change)

    return open_source


@offer("conditioner", "foretelling")
class Foretelling(Opening):
    def open(self, *given, **named):
        source = super().open(*given, **named)
        first = source.for_evaluation
        source.for_evaluation = lambda ids: first(ids.flip(1))
        return source


@offer("conditioner", "insistent")
class Insistent(Opening):
    open = sourced("for_training", lambda cues: evolve(cues, known=cues.known | True))


@offer("conditioner", "careless")
class Careless(Opening):
    def open(self, *given, **named):
        source = super().open(*given, **named)
        source.for_sampling = lambda given, options: source.for_evaluation(torch.tensor([[0, 1]]))
        return source


@offer("conditioner", "shared")
class Shared(Opening):
    def build(self, dim, layers):
        module = super().build(dim, layers)
        context = module.context
        module.context = lambda cues: context(evolve(cues, kinds=cues.kinds.roll(1)))
        return module


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
            [evolve(one, role="matrix") for one in weights], weight_decay=weight_decay
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


@offer("level", "touching")
class Touching(Bias):
    name = "touching"

    def adapt(self, model, experience, budget):
        with torch.no_grad():
            next(model.parameters()).add_(1)
        return super().adapt(model, experience, budget)


@offer("level", "greedy")
class Greedy(Bias):
    name = "greedy"

    def adapt(self, model, experience, budget):
        found = super().adapt(model, experience, evolve(budget, share=1.0))
        return evolve(found, parameters=model.num_parameters())


@offer("level", "trusting")
class Trusting(Bias):
    name = "trusting"

    def apply(self, model, adaptation):
        return self._with(model, adaptation.tensors["shift"].flatten()[: model.vocabulary.size])


def searching(change):
    """An index whose search is changed."""

    def index(self, dim, metric):
        made = Exact().index(dim, metric)
        made.search = change(made.search)
        return made

    return index


@offer("storage", "few")
class Few(Exact):
    index = searching(lambda own: lambda v, q, k, *a, **o: own(v, q, min(k, 3), *a, **o))


@offer("storage", "worst-first")
class WorstFirst(Exact):
    index = searching(lambda own: lambda *a, **o: tuple(x[::-1].copy() for x in own(*a, **o)))


@offer("storage", "unfiltered")
class Unfiltered(Exact):
    index = searching(lambda own: lambda v, q, k, allowed, *a, **o: own(v, q, k, None, *a, **o))


@offer("storage", "losing")
class LosingTheFirst(Exact):
    index = searching(lambda own: lambda *a, **o: tuple(x[1:] for x in own(*a, **o)))


@offer("reader", "forgetful")
class FirstEntry(Entries):
    def rows(self, path, on_progress=None):
        yield from [*super().rows(path)][:1]


@offer("reader", "raw")
class RawEntries(Entries):
    def rows(self, path, on_progress=None):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.strip():
                yield FileRow(number, {"text": line}, None)


@offer("reader", "nameless")
class Nameless(Entries):
    def texts(self, path, settings, on_progress=None):
        return (("somewhere", text) for _, text in super().texts(path, settings))


@offer("tensor_format", "rounding")
class Rounding(Hexadecimal):
    def open(self, path):
        made = super().open(path)
        return evolve(made, get=lambda name: made.get(name).nan_to_num())


@offer("tensor_format", "trusting")
class TrustingFormat(Hexadecimal):
    def open(self, path):
        tensors = torch.load(path, weights_only=False)
        return evolve(super().open(path), names=tuple(tensors), get=tensors.__getitem__)


@offer("tensor_format", "silent")
class Silent(Hexadecimal):
    def save(self, source, path, on_progress):
        return super().save(source, path, lambda _: None)


@offer("policy", "stubborn")
class Stubborn(Largest):
    def choose(self, situation):
        return super().choose(evolve(situation, failed=()))


@offer("policy", "idle")
class Idler(Largest):
    def choose(self, situation):
        return super().choose(situation) if situation.measure() > 0 else []


@offer("policy", "forgetful")
class Alternating(Largest):
    def choose(self, situation):
        CALLS.append("chosen")
        return super().choose(situation)[:: 1 - 2 * (len(CALLS) % 2)]


@offer("history", "gentle")
class Gentle(Line):
    def at(self, trained, version):
        try:
            return super().at(trained, version)
        except EvolutionError:
            return trained.model


@offer("history", "nameless")
class NamelessHistory(Line):
    def keep(self, trained, level, adaptation):
        kept = super().keep(trained, level, adaptation)
        if kept == "2":
            (trained.run_folder / "evolution" / "history").unlink()
        return kept


@offer("history", "trusting")
class TrustingHistory(Line):
    def at(self, trained, version):
        model = trained.model
        for number in range(1, int(version) + 1):
            folder = trained.run_folder / "evolution" / str(number)
            (shift,) = load((folder / "tensors").read_bytes()).values()
            model = trained.level("bias").apply(model, Adaptation({}, {"shift": shift}, 260))
        return model.eval()


@offer("history", "flat")
class Flat(Line):
    def at(self, trained, version):
        if int(version) == 0:
            return trained.model
        level, adaptation = _read(
            trained.run_folder / "evolution" / str(version), model_digest(trained.model)
        )
        return trained.level(level).apply(trained.model, adaptation).eval()


@offer("uncertainty", "mean")
class MeanSurprise(Surprise):
    def measure(self, level):
        return super().measure(level).mean()


@offer("uncertainty", "endless")
class Endless(Surprise):
    def measure(self, level):
        return -(level.log_probs.exp() * level.log_probs).sum(-1)


@offer("uncertainty", "confidence")
class Confidence(Surprise):
    def measure(self, level):
        return -super().measure(level).clamp(max=99)


@offer("constraint", "latin")
class Latin(Brackets):
    def automaton(self, pattern):
        return Automaton.explored(0, lambda _: [(0, 255, 0)], lambda _: True)


@offer("constraint", "moody")
class Moody(Brackets):
    def automaton(self, pattern):
        CALLS.append("compiled")
        return super().automaton(f"{pattern}{len(CALLS) % 2}")


@offer("constraint", "careless")
class OnlyNumbers(Brackets):
    def automaton(self, pattern):
        return super().automaton(str(int(pattern)))


@offer("constraint", "boastful")
class Boastful(Brackets):
    examples = (PatternExample("1", right=("((x))",), wrong=("(",)),)


@offer("constraint", "secretive")
class Secretive(Brackets):
    examples = ()


@offer("checker", "strict")
class Strict(Palindrome):
    def check(self, completion):
        return str(int(completion.answer)) == completion.answer


@offer("checker", "graded")
class Graded(Palindrome):
    def check(self, completion):
        return float(super().check(completion))


@offer("checker", "jealous")
class Jealous(Palindrome):
    def check(self, completion):
        CALLS.append("checked")
        return len(CALLS) % 4 < 2


for _kind in OFFERS:
    globals()[KINDS[_kind].hook] = aios_core.hookimpl(lambda kind=_kind: OFFERS[kind])
