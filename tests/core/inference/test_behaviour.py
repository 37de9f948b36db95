"""What holds in the engine whichever sampler is registered."""

import copy
import re
from itertools import pairwise

import attrs
import numpy as np
import pytest

from aios_core.errors import InferenceError
from aios_core.inference import ArrowEngine
from aios_core.testing.conformance import tokens

MASK = 256
SAMPLERS = tokens("sampler")
every_sampler = pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(cls(steps=4) if "steps" in attrs.fields_dict(cls) else cls(), id=name)
        for name, cls in SAMPLERS.items()
    ],
)


@every_sampler
def test_states_are_told(engine, sampler):
    """T12, T13, T14: a callback sees what a stream yields, from masks to the finished text."""
    seen = []
    options = {"sampler": sampler, "seed": 3, "ignore_eos": True, "max_new_tokens": 10}
    output = engine.diffuse("milk", callback_on_step_end=seen.append, **options)
    shown = list(engine.stream("milk", mode="diffusion", **options))

    assert [each.token_ids for each in seen] == [each.token_ids for each in shown]
    assert [each.nfe for each in seen] == sorted(each.nfe for each in seen)
    assert (*b"milk", *[MASK] * 10) == seen[0].token_ids[0]
    for before, after in pairwise(seen[:-1]):
        assert (*b"milk",) == after.token_ids[0][:4]
        changed = zip(before.token_ids[0], after.token_ids[0], after.new[0], strict=True)
        for old, new, new_flag in changed:
            assert new_flag == (new not in (old, MASK))
            assert sampler.remasks or old in (new, MASK)
    assert seen[-1].output is not None
    assert output.token_ids == seen[-1].output.token_ids
    assert MASK not in output.token_ids[0]
    assert output.completions[0] == "".join(each.deltas[0] for each in shown)


@every_sampler
def test_outputs_are_complete(engine, sampler):
    """Log-probabilities, entropies, calls, seconds, seeds and reasons, row by row."""
    output = engine.diffuse(["milk", "a bo"], sampler=sampler, seed=1, ignore_eos=True)

    for row in range(2):
        assert 23 == len(output.token_ids[row]) == len(output.given[row])
        for values in (output.log_probs[row], output.uncertainty[row]):
            assert [0.0] * 4 == list(values[:4])
            assert np.isfinite(values).all()
        assert max(output.log_probs[row][4:]) < 0 < min(output.uncertainty[row][4:])
    assert ("length", "length") == output.finish_reasons
    assert output.nfe >= 1
    assert output.seconds > 0


@pytest.fixture(scope="module")
def precise(engine):
    """The diffusion model in float64: what is left of a difference is no rounding."""
    loaded = engine.models["diffusion"]
    model = copy.deepcopy(loaded.model).double()
    return ArrowEngine({"diffusion": attrs.evolve(loaded, model=model)})


@every_sampler
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"temperature": 0},
        {"block_size": 5, "cache": "prefix"},
        {"block_size": 5, "cache": "dual"},
        {"block_size": 5, "top_k": 9, "min_p": 0.01, "repetition_penalty": 1.3},
        {"regex": "[a-c]{2,}", "block_size": 3, "guidance_scale": 2.0},
    ],
    ids=["plain", "cold", "prefix", "dual", "controls", "constraint"],
)
def test_rows_do_not_depend_on_their_batch(precise, sampler, more):
    """T16: prompts of different lengths, padded in a batch and alone."""
    prompts = ["milk", "a bottle"]
    options = {"sampler": sampler, "max_new_tokens": 9, **more}
    together = precise.diffuse(prompts, seed=5, **options)
    for row, prompt in enumerate(prompts):
        alone = precise.diffuse(prompt, seeds=[together.seeds[row]], **options)
        assert together.token_ids[row] == alone.token_ids[0]


@every_sampler
def test_texts_end_at_their_end(engine, sampler):
    """Nothing stands behind an end of text, and no more is asked than that takes."""
    eos = engine.tokenizer.vocabulary.eos_id
    few = [token for token in range(260) if token not in (eos, 97)]
    options = {"sampler": sampler, "suppress_tokens": few, "seed": 2}
    output = engine.diffuse([""] * 3, **options)
    whole = engine.diffuse([""] * 3, ignore_eos=True, **options)

    assert "stop" in output.finish_reasons
    assert output.nfe <= whole.nfe
    for row, reason in enumerate(output.finish_reasons):
        ids = output.token_ids[row]
        assert eos not in ids[:-1]
        assert ("stop" if ids[-1] == eos else "length") == reason
        assert ids == whole.token_ids[row][: len(ids)]
        assert 23 == len(whole.token_ids[row])


@every_sampler
def test_promises_are_kept_in_blocks_with_all_else(engine, sampler):
    """A constraint, blocks, controls and guidance together."""
    output = engine.diffuse(
        ["a ", "milk"], sampler=sampler, regex="[a-c]{2,}(-[0-9]+)?", max_new_tokens=8,
        block_size=3, suppress_tokens=[99], top_k=5, min_p=0.01, repetition_penalty=1.3,
        guidance_scale=2.0, negative_prompt="x",
    )  # fmt: skip
    for text in output.completions:
        assert re.fullmatch("[ab]{2,}(-[0-9]+)?", text)


@every_sampler
def test_guidance_of_scale_one_is_none(engine, sampler):
    """T27: gamma 1 is the conditional model, w 0 as well, whatever is led away from."""
    options = {"sampler": sampler, "seed": 4, "max_new_tokens": 8}
    plain = engine.diffuse("milk", **options).token_ids

    assert plain == engine.diffuse("milk", guidance_scale=1, **options).token_ids
    assert plain == engine.diffuse("milk", cfg_scale=0.0, **options).token_ids


@every_sampler
def test_guidance_of_scale_zero_forgets_the_prompt(engine, sampler):
    """T27: gamma 0 is the unconditional model: the same text behind every prompt of a length."""
    options = {"sampler": sampler, "seeds": [4], "max_new_tokens": 8, "guidance_scale": 0}
    first, other = (engine.diffuse(prompt, **options).token_ids[0] for prompt in ("milk", "abcd"))

    assert first[4:] == other[4:]


def test_suppressed_ends_never_come(engine):
    """Also where tokens are drawn with noise, which LLaDA's own suppression forgets."""
    eos = engine.tokenizer.vocabulary.eos_id
    for temperature in (0.0, 1.0, 3.0):
        output = engine.diffuse(
            [""] * 4, suppress_tokens=[eos], temperature=temperature, num_inference_steps=3
        )
        assert {"length"} == set(output.finish_reasons)
        assert not any(eos in ids for ids in output.token_ids)


@pytest.mark.parametrize("mode", ["ar", "diffusion"])
def test_common_options_mean_the_same(engine, mode):
    """In both modes, for the same rows: counts, ends, seeds, controls, what is reported."""
    for options, holds in (
        ({"max_new_tokens": 5, "ignore_eos": True}, lambda value: len(value.token_ids[0]) == 9),
        ({"top_k": 1, "seed": 1}, lambda value: value.mode == mode),
        (
            {"suppress_tokens": [*range(97)], "ignore_eos": True},
            lambda value: "`" not in value.texts,
        ),
        ({"num_return_sequences": 3}, lambda value: len(value.texts) == 3 == len(set(value.seeds))),
        ({"seeds": [7]}, lambda value: value.seeds == (7,)),
    ):
        assert holds(engine.generate("milk", mode=mode, **options))


def test_nan_is_told_in_both_modes(engine):
    """At the first call, with the rows that are concerned."""
    for mode, loaded in engine.models.items():
        weight = loaded.model.head.norm.weight
        kept = weight.detach().clone()
        weight.data.fill_(float("nan"))
        try:
            with pytest.raises(InferenceError, match="answered with NaN"):
                engine.generate("milk", mode=mode)
        finally:
            weight.data.copy_(kept)


def test_steps_may_be_more_than_tokens(engine):
    """T17: then most of them have nothing to do, and cost nothing."""
    for name, cls in SAMPLERS.items():
        if "steps" in attrs.fields_dict(cls):
            output = engine.diffuse(
                "milk", sampler=name, num_inference_steps=20, max_new_tokens=3, ignore_eos=True
            )
            assert 7 == len(output.token_ids[0])
            assert cls.remasks or output.nfe <= 3
