"""Plugins that are broken in many ways: each is noticed, in a line that names the cause."""

import json
import re
import shutil
from itertools import groupby
from pathlib import Path

import pytest

from aios_core.kinds import KINDS
from aios_core.registry import Registry
from aios_core.scaffold.examples.storage import Exact
from aios_core.testing import runner
from aios_core.testing.contracts.storage import GOOD, StorageContract
from aios_core.testing.reporting import _TESTS, Reporter
from aios_core.testing.runner import check_distribution

HEAD = """
import random

import aios_core
import numpy as np
import torch
from attrs import field, frozen, validators
from aios_core.contracts import NoiseScheduler, StepSampler

AIOS_API = 1
CALLS = [0]
"""

SCHEDULES = {
    "wrong-shape": ("return (1 - t).reshape(-1)[:1]", r"of shape \(1,\); expected torch.float64"),
    "flat": ("return 1 - t.clamp(max=0.5) * 2", "alpha does not fall everywhere"),
    "nan": ("return torch.where(t > 0.7, torch.nan, 1 - t)", "alpha .*nan.*expected"),
    "float32": ("return (1 - t).float()", "gives torch.float32"),
    "numpy": ("return (1 - t).numpy()", "gives ndarray; expected a Tensor"),
    "none": ("return None", r"alpha\(t\) gives None; expected a Tensor"),
    "list": ("return [1.0, 0.5, 0.0]", r"alpha\(t\) gives list; expected a Tensor"),
    "number": ("return 0.5", r"alpha\(t\) gives float; expected a Tensor"),
    "rising": ("return t", "alpha rises somewhere"),
    "bump": ("return 1 - t + 2 * torch.sin(9 * t) * t * (1 - t)", "alpha rises"),
    "half": ("return 1 - t / 2", r"alpha\(1\) is 0.5; expected 0"),
    "late": ("return 0.9 * (1 - t)", r"alpha\(0\) is 0.9; expected 1"),
    "state": ("CALLS[0] += 1; return 1 - t ** (1 + CALLS[0] / 100)", "two calls|differ by"),
    "in-place": ("return t.neg_().add_(1)", "in-place|the question was changed"),
    "draws": (
        "return 1 - t ** (1 + 0.1 * torch.rand(()).double())",
        "draws from the global generator of torch",
    ),
    "seeds": (
        "torch.manual_seed(0); return 1 - t",
        "draws from the global generator of torch, or seeds it",
    ),
    "raises": ("raise KeyError('beta')", r"alpha raised KeyError: 'beta' \(.*schedules.py:\d+\)"),
    "signature": (
        "return 1 - t",
        "takes 1 positional argument but 2 were given",
        "def alpha(self):",
    ),
    "fields": ("return 1 - t**self.k if self.k < 3 else 1 - 0 * t", None),
    "slope": (
        "return 1 - t\n\n    def alpha_prime(self, t):\n        return -2 * torch.ones_like(t)",
        r"instance.alpha_prime\(t\) is not slope",
    ),
    "inverse": (
        "return 1 - t\n\n    def inverse(self, alpha):\n        return alpha",
        r"instance.alpha\(t\) is not alpha: they differ by",
    ),
}
"""Name: the body of ``alpha``, and what is reported of it; None: nothing, for a run refuses it."""

SAMPLERS = {
    "masks-left": ("return x", "a mask is left"),
    "some-left": ("return out.where(context.uniform() < 0.9, x)", "a mask is left"),
    "torch-draws": (
        "torch.rand(()); return out",
        "draws from the global generator of torch",
    ),
    "numpy-draws": ("np.random.rand(); return out", "draws from the global generator of numpy"),
    "python-draws": ("random.random(); return out", "draws from the global generator of Python"),
    "seeds": ("torch.manual_seed(3); return out", "global generator of torch, or seeds it"),
    "state": (
        "CALLS[0] += 1; return (out + CALLS[0] % 2 * context.masked(x)) % context.mask_id",
        "the same seeds give two texts",
    ),
    "float": ("return out.float()", r"a step gives torch.float32 of shape .*expected torch.int64"),
    "list": ("return out.tolist()", "a step gives list; expected a Tensor"),
    "none": ("return None", "a step gives None; expected a Tensor"),
    "narrow": ("return out[:, :1]", r"a step gives torch.int64 of shape \(\d+, 1\); expected"),
    "mates": (
        "return (out + len(x) % 2 * context.masked(x)) % context.mask_id",
        r"row \d+ depends on its batch mates",
    ),
    "overwrites": ("x.copy_(out); return x", "overwritten"),
    "out-of-range": ("return out + 99", r"a step gives token \d+; expected 0 to"),
    "fixed": (
        "return torch.cat((log_probs[:, :1].argmax(-1), out[:, 1:]), 1) if s == 0 else out",
        "a fixed token was changed",
    ),
    "lies": ("return log_probs.argmax(-1).where(context.masked(x), x)", "not exact|not fall"),
    "raises": ("raise KeyError('beta')", r"step raised KeyError: 'beta' \(.*samplers.py:\d+\)"),
    "nan": (
        "return context.categorical(log_probs * torch.nan, context.masked(x))",
        "log-probabilities|expected|a mask is left",
    ),
    "banana": ("return out", "exact is 'banana'; expected one of", "exact = 'banana'"),
    "undeclared": ("return out", "exact is None; expected one of", ""),
    "few-steps": (
        "return x if self.k > 0.5 and s == 0 else out",
        "with k=1.0: a mask is left",
    ),
}
"""Name: the body of ``step``, where ``out`` is right, and what is reported of it."""


def class_name(name):
    return "Broken" + "".join(part.capitalize() for part in name.split("-"))


def schedules():
    text = HEAD
    for name, (body, _, *header) in SCHEDULES.items():
        line = header[0] if header else "def alpha(self, t):"
        text += f"\n@frozen\nclass {class_name(name)}(NoiseScheduler):\n"
        text += "    k: float = field(default=1.5, validator=validators.gt(0))\n"
        text += f"    {line}\n        {body}\n"
    return text + offer("aios_noise_schedulers", SCHEDULES)


def samplers():
    text = HEAD
    for name, (body, _, *exact) in SAMPLERS.items():
        line = (
            exact[0] if exact else "exact = 'in the limit'" if name == "lies" else "exact = 'never'"
        )
        text += f"\n@frozen\nclass {class_name(name)}(StepSampler):\n    {line}\n"
        text += (
            "    k: float = field(default=0.0, validator=[validators.ge(0), validators.le(1)])\n"
        )
        text += "    def step(self, x, t, s, log_probs, context):\n"
        text += "        stay = context.noise.mask_rate(s) / context.noise.mask_rate(t)\n"
        text += "        reveal = context.masked(x) & (context.uniform() >= stay)\n"
        text += "        out = context.categorical(log_probs, reveal).where(reveal, x)\n"
        text += f"        {body}\n"
    return text + offer("aios_samplers", SAMPLERS)


def offer(hook, names):
    table = ", ".join(f"{name!r}: {class_name(name)}" for name in names)
    return f"\n@aios_core.hookimpl\ndef {hook}():\n    return {{{table}}}\n"


def missed(kind, cases, summary):
    """Cases of which no line tells what it should."""
    wrong = {}
    for name, (_, pattern, *_) in cases.items():
        lines = re.findall(rf"^  {kind}\.{name} breaks .*$", summary, re.MULTILINE)
        reported = pattern is not None and any(re.search(pattern, line) for line in lines)
        if reported != (pattern is not None):
            wrong[name] = lines
    return wrong


@pytest.mark.slow
def test_broken_schedules_are_told_apart(tmp_plugin):
    """Fault N15, of 45 ways to break a plugin those of schedules."""
    tmp_plugin(schedules(), module="schedules")
    result = check_distribution(Registry.discover(), "schedules")

    assert {} == missed("noise", SCHEDULES, result.summary)
    assert not result.passed


@pytest.mark.slow
def test_broken_samplers_are_told_apart(tmp_plugin):
    """Fault N15, of 45 ways to break a plugin those of samplers."""
    tmp_plugin(samplers(), module="samplers")
    result = check_distribution(Registry.discover(), "samplers")

    assert {} == missed("sampler", SAMPLERS, result.summary)
    assert not result.passed


OTHERS = {
    "corruption.negative": ("noise_is_a_distribution", "a probability is below 0 at alpha"),
    "corruption.falling": ("noise_is_only_ever_added", r"tokens \[0\] turn clean again"),
    "corruption.absorbed": ("tells_whether_it_is_absorbing", "Expected instance.absorbing =="),
    "objective.mean": ("seed_decides", r"losses give shape \(\); expected one a row, \(6,\)"),
    "objective.padded": ("padding_counts_for_nothing", "whole is not other: they differ by"),
    "objective.heedless": ("given_parts_are_clean_and_cost_nothing", "a given token was noised"),
    "objective.greedy": ("given_parts_are_clean_and_cost_nothing", "given as a whole has a loss"),
    "objective.short": ("is_a_bound_of_the_targets_given_the_rest", r"below -log p\(targets"),
    "objective.global": ("leaves_global_generators_alone", "global generator of torch"),
    "head.narrow": ("shapes", r"VOCABULARY.size\) == tuple\(logits.shape\)"),
    "head.mixing": ("decodes_each_position_by_itself", r"torch.cat\(alone, 1\) is not together"),
    "head.idle": ("every_parameter_learns", "unused gets no gradient"),
    "backbone.prophet": ("causal_network_sees_no_future", "after.* is not before"),
    "backbone.blind": ("bidirectional_network_sees_both_sides", r"no change at \[0.*\] by"),
    "backbone.padded": ("padding_is_invisible", "is not expected: they differ by"),
    "conditioner.foretelling": ("the_end_of_a_row_tells_nothing", "the second half tells"),
    "conditioner.insistent": ("some_rows_are_left_without", "each row of 300 has a cue"),
    "conditioner.careless": ("unknown_options_are_refused", "DID NOT RAISE InferenceError"),
    "conditioner.shared": ("rows_have_cues_of_their_own", "a row has the cue of another"),
    "optimizer.forgetful": ("goes_on_from_its_state", "is another after going on"),
    "optimizer.eager": ("a_skipped_step_changes_nothing", "changes in a skipped step"),
    "optimizer.late": ("state_is_there_from_the_start", "names or shapes change with the first"),
    "optimizer.shrinking": ("decay_is_for_matrices", "Tensor-likes are not close"),
    "lr_schedule.rising": ("never_above_the_peak", "outside of 0 to the peak"),
    "lr_schedule.absolute": ("in_proportion_to_the_peak", "not 8 times as much"),
    "lr_schedule.sudden": ("warms_up", "a rate falls in the warm-up"),
    "lr_schedule.counting": ("depends_on_the_step_alone", "another rate the second time"),
    "quantizer.coarse": ("error_is_that_of_few_bits", "Expected error <="),
    "quantizer.shifted": ("zeros_stay_zeros", "A layer that is switched off stays so"),
    "quantizer.writing": ("any_weight_comes_back", "the weight was changed"),
    "tokenizer.cutting": ("every_text_is_encoded_whole", "a long text does not survive"),
    "tokenizer.forging": ("names_of_special_tokens_are_text", r"special ids \[256\]"),
    "tokenizer.forgetful": ("survives_saving", "What is loaded is what was saved"),
    "embedding.short": ("vectors_have_length_1", r"gave shape \(1, 26\); expected \(1, 27\)"),
    "embedding.relative": ("vectors_do_not_depend_on_neighbours", "among others, in another order"),
    "embedding.alike": ("texts_are_told_apart", "Other texts, other vectors"),
    "dataset.text": ("rows_have_targets", "documents gives a text; expected several"),
    "dataset.numbers": ("rows_have_targets", "a document is int"),
    "dataset.shuffled": ("order_is_fixed", "a second reading .*gave other rows"),
    "metric.nan": ("gives_finite_estimates", "nan"),
    "metric.listed": ("changes_nothing", "measure gives list; expected a dict"),
    "metric.random": ("leaves_global_generators_alone", r"global generator of Python \(random\)"),
    "metric.bigger": ("measures_what_it_says", "Expected set.*lower.*higher.*nearer"),
    "executor.losing": ("runs_every_job_once", "Many jobs, few places"),
    "executor.fragile": ("job_that_raises_fails_alone", "ZeroDivisionError: division by zero"),
    "executor.hasty": ("order_is_kept_where_asked", "A job sees what those before it left behind"),
    "tracker.once": ("goes_on_with_an_interrupted_run", r"start raised FileExistsError: .*py:\d+"),
    "tracker.lazy": ("may_end_without_a_record", "AttributeError: .*'last'"),
    "tracker.alone": ("runs_do_not_mix", r"start raised RuntimeError: another run is tracked"),
    "level.touching": ("the_model_itself_is_left_alone", "By both methods: its tensors"),
    "level.greedy": ("the_budget_is_kept", "Expected adaptation.parameters <="),
    "level.trusting": ("what_does_not_fit_is_refused", "DID NOT RAISE EvolutionError"),
    "reader.forgetful": ("rows_of_the_example", "'second'"),
    "reader.raw": ("damaged_files_are_refused_or_read", "UnicodeDecodeError"),
    "reader.nameless": ("texts_of_the_example", "a place does not name the file"),
    "tensor_format.rounding": ("what_is_read_is_what_was_written", "has other bits"),
    "tensor_format.trusting": (
        "nothing_is_unpickled",
        "UnpicklingError|RuntimeError|Err",
    ),
    "tensor_format.silent": ("progress_names_each_tensor", "Once, in any order"),
    "policy.stubborn": ("what_failed_is_not_tried_again", "has one that failed"),
    "policy.idle": ("levels_are_those_of_the_situation", "no level is tried though none has fail"),
    "policy.forgetful": ("the_same_situation_gives_the_same_choice", "A policy keeps no state"),
    "history.gentle": ("damaged_files_are_refused_or_read", "and gives another network"),
    "history.flat": ("a_version_is_what_was_kept", "another network than was kept"),
    "history.nameless": ("the_folder_says_whose_it_is", "the folder names another history"),
    "history.trusting": ("another_network_is_refused", "DID NOT RAISE"),
    "uncertainty.mean": (
        "higher_is_more_unsure",
        "expected one a hidden token",
    ),
    "uncertainty.endless": ("numbers_are_finite", "measure gives nan"),
    "uncertainty.confidence": ("higher_is_more_unsure", "measures no more than one that is sure"),
    "checker.strict": ("any_text_has_a_verdict", "invalid literal for int"),
    "checker.graded": ("any_text_has_a_verdict", "check gives 0.0; expected True or False"),
    "checker.jealous": ("the_same_sample_has_the_same_verdict", "first == "),
    "modality.loud": ("numbers_have_about_unit_variance", "float"),
    "modality.forgetting": ("what_is_read_back_is_what_was_kept", "tobytes|fingerprint|Error"),
    "modality.trusting": ("what_is_no_item_is_refused", "AttributeError|has no attribute"),
    "constraint.latin": (
        "strange_patterns_are_taken_or_refused",
        r"accepts a text that begins with b'\\x80'; expected UTF-8",
    ),
    "constraint.moody": ("a_pattern_has_the_same_texts_each_time", "other texts the second time"),
    "constraint.careless": (
        "strange_patterns_are_taken_or_refused",
        "automaton raised ValueError: invalid literal for int",
    ),
    "constraint.boastful": ("examples_are_right_and_wrong", "does not satisfy '1'; it is said to"),
    "constraint.secretive": ("is_built_without_values", "examples is empty; expected at least"),
    "command.terse": ("explains_itself", "--help of the command has no examples"),
    "command.other": ("its_line_in_the_list_is_its_own", "Two lines: that of the class"),
    "command.nothing": ("explains_itself", "build gives None; expected a Command"),
    "report.outside": ("writes_into_the_folder", "expected a file below results.folder"),
    "report.once": ("writes_the_same_again", "The same results, the same report"),
    "report.complete": ("reports_what_there_is", "write raised KeyError: 'metrics'"),
    "storage.few": ("search_is_exact_where_asked", "The best rows"),
    "storage.worst-first": ("search_is_exact_where_asked", "The best rows"),
    "storage.losing": (
        "columns_may_have_any_names",
        r"published at: expected \[place\] == .*; got \[0\] == \[\]",
    ),
    "storage.unfiltered": ("filters_mean_the_same", "Any filter chooses the rows"),
}
"""Component: the contract that it is held to here, and what is reported of it."""

SLEEPY = {"tracker.sleepy": ("may_end_without_a_record", None)}
"""It breaks nothing."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What is reported of each of `OTHERS`, by tests of a process that costs little to start."""
    from aios_core.testing.fixtures import write_plugin

    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(Path(__file__).with_name("broken_plugins"), folder / "broken_plugins")
    write_plugin(folder, None, module="broken_plugins")
    tests = folder / "test_contracts.py"
    tests.write_text(_TESTS.format(distribution="broken-plugins"))
    (folder / "pytest.ini").write_text("[pytest]\n")
    nodes = [
        f"{tests}::Test_{key.replace('.', '_').replace('-', '_')}::test_{contract}"
        for key, (contract, _) in (OTHERS | SLEEPY).items()
    ]
    options = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:faulthandler"]
    with pytest.MonkeyPatch.context() as patch, (folder / "events").open("w") as file:
        patch.syspath_prepend(str(folder))
        pytest.main([*options, "-c", str(folder / "pytest.ini"), *nodes], plugins=[Reporter(file)])
    events = [json.loads(line) for line in (folder / "events").read_text().splitlines()]
    return [event for event in events if "key" in event]


@pytest.mark.parametrize("key", OTHERS)
def test_each_broken_component_is_named_in_a_line(reports, key):
    """Fault N15, of other kinds three ways each."""
    contract, pattern = OTHERS[key]
    lines = [*runner._component(key, reports)]

    assert f"{key}: 1 of 1 contracts are broken" in lines[0]
    assert re.search(f"^  {key} breaks test_{contract}: .*{pattern}", lines[1]), lines[1:]
    assert 2 == len(lines)


@pytest.mark.parametrize(("limit", "slow"), [(0.19, 1), (1e6, 0)])
def test_slowness_is_reported_and_breaks_nothing(reports, monkeypatch, limit, slow):
    """Fault N15: a method that sleeps 0.2 s; by limits that no machine's speed comes near."""
    monkeypatch.setattr(runner, "SLOW", limit)
    first, *lines = runner._component("tracker.sleepy", reports)

    assert first.startswith("tracker.sleepy: 1 contracts kept, in ")
    assert slow == len(lines)
    for line in lines:
        assert "tracker.sleepy is slow: test_may_end_without_a_record took " in line
        assert f"expected at most {limit:g} s on an idle machine" in line


def test_each_kind_is_broken_in_three_ways():
    kinds = [key.partition(".")[0] for key in OTHERS]
    ways = {kind: len([*group]) for kind, group in groupby(sorted(kinds))}

    assert set(KINDS) == {*ways, "noise", "sampler"}
    assert min(ways.values()) >= 3


def test_a_store_that_breaks_its_contract_is_given_its_first_failure(tmp_path):
    """Searching for a shorter one took 300 s without a word."""

    class Haunted(Exact):
        def open(self, *place, **options):
            store = super().open(*place, **options)
            store.add([GOOD])
            failed.append(len(begun))
            return store

    class Suite(StorageContract):
        examples = 50  # so that a store is surely opened again

    begun, failed = [], []

    def new_uri():
        begun.append(None)
        return str(tmp_path / str(len(begun)))

    with pytest.raises(AssertionError):
        Suite().test_is_like_a_dict(Haunted(), None, new_uri)
    assert len(begun) <= failed[0] + 2  # once or twice more, to report it
