"""What is asked beats what is configured, option by option, and what is unset is as configured."""

import attrs
import pytest
import torch

from aios_core.config.schema import SamplingConfig
from aios_core.contracts import Controls
from aios_core.errors import InferenceError
from aios_core.inference import ArrowEngine
from aios_core.inference.plan import plan
from aios_core.inference.prompts import prompted
from aios_core.inference.settings import Settings
from aios_core.registry import Registry
from aios_plugins.samplers.confidence import Confidence

CONFIGURED = {
    "temperature": 0.7,
    "top_k": 50,
    "top_p": 0.8,
    "min_p": 0.01,
    "repetition_penalty": 1.2,
    "suppress_tokens": (1, 2),
    "block_size": 4,
    "cache": "prefix",
}
ASKED = {
    "temperature": 0.0,
    "top_k": 3,
    "top_p": 0.5,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "suppress_tokens": (),
    "block_size": 2,
    "cache": "none",
}


def planned(engine, mode="diffusion", **options):
    """The run of one row by a configuration in which everything is set."""
    loaded = engine.models[mode]
    sampling = SamplingConfig(**CONFIGURED)
    resolved = attrs.evolve(
        loaded.resolved, config=attrs.evolve(loaded.resolved.config, sampling=sampling)
    )
    loaded = attrs.evolve(loaded, resolved=resolved)
    rows = [prompted(list(b"milk"), 4, loaded.model.vocabulary.mask_id)]
    settings = Settings.of(options)
    return plan(loaded, settings, rows, whole=False, context=24, cues=lambda: None)


def used(run):
    """The values that a run goes by."""
    core = getattr(run, "core", run)
    result = {"temperature": core.temperature, **attrs.asdict(core.controls, recurse=False)}
    return result | {key: getattr(run, key) for key in ("block_size", "cache") if hasattr(run, key)}


def test_every_option_is_here():
    assert {field.name for field in attrs.fields(Controls)} <= CONFIGURED.keys()
    assert CONFIGURED.keys() == ASKED.keys()


def test_what_is_unset_is_as_configured(engine):
    assert used(planned(engine)).items() >= CONFIGURED.items()


@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked_wins(engine, name):
    result = used(planned(engine, **{name: ASKED[name]}))
    assert result.items() >= (CONFIGURED | {name: ASKED[name]}).items()


@pytest.mark.parametrize("name", [name for name in ASKED if name not in ("block_size", "cache")])
def test_so_it_does_from_left_to_right(engine, name):
    kept = {key: value for key, value in CONFIGURED.items() if key not in ("block_size", "cache")}
    assert used(planned(engine, "ar")).items() >= kept.items()
    result = used(planned(engine, "ar", **{name: ASKED[name]}))
    assert result.items() >= (kept | {name: ASKED[name]}).items()


def test_steps_and_sampler(engine):
    configured = engine.models["diffusion"].resolved.config.sampler
    assert configured == planned(engine).sampler
    assert attrs.evolve(configured, steps=3) == planned(engine, num_inference_steps=3).sampler
    assert Confidence() == planned(engine, sampler="confidence").sampler
    built = Confidence(measure="margin")
    run = planned(engine, sampler=built, num_inference_steps=2)
    assert attrs.evolve(built, steps=2) == run.sampler
    with pytest.raises(InferenceError, match="has no number of steps"):
        planned(engine, sampler="threshold", num_inference_steps=2)


@pytest.mark.parametrize("mode", ["ar", "diffusion"])
def test_the_last_token_may_be_suppressed_and_no_later_one(engine, mode):
    size = engine.models[mode].model.vocabulary.size
    core = planned(engine, mode, suppress_tokens=[0, size - 1])
    assert (0, size - 1) == used(core)["suppress_tokens"]
    for token in (size, size + 1):
        with pytest.raises(InferenceError, match=f"suppress_tokens: {token} is not a token"):
            planned(engine, mode, suppress_tokens=[0, token])


@pytest.mark.parametrize(
    "options",
    [{}, {"seed": 5}, {"generator": 7}],
    ids=["configured", "seed", "generator"],
)
def test_rows_have_seeds_of_their_own(options):
    """Whatever they come from; the same again of the same."""

    def seeds(rows=16, configured=3):
        given = dict(options)
        if "generator" in given:
            given["generator"] = torch.Generator().manual_seed(given["generator"])
        return Settings.of(given).row_seeds(rows, configured)

    assert 16 == len(set(seeds()))
    assert seeds() == seeds()
    assert seeds()[:4] == seeds(4)
    assert (options == {}) == (seeds() != seeds(configured=4))


def test_other_seeds_are_other_seeds():
    results = [Settings.of({"seed": number}).row_seeds(2, 0)[0] for number in range(8)]
    results += [
        Settings.of({"generator": torch.Generator().manual_seed(number)}).row_seeds(2, 0)[0]
        for number in range(8)
    ]
    assert 16 == len(set(results))
    assert [4, 4] == Settings.of({"seeds": [4, 4]}).row_seeds(2, 0)
    with pytest.raises(InferenceError, match="2 seeds for 3 rows"):
        Settings.of({"seeds": [4, 4]}).row_seeds(3, 0)


def test_a_seed_of_0_is_a_seed():
    """And not the absence of one, where the configuration has another."""
    assert Settings(seed=0).row_seeds(2, 5) == Settings().row_seeds(2, 0)
    assert Settings(seed=0).row_seeds(2, 5) != Settings().row_seeds(2, 5)


def test_a_negative_prompt_fits_before_the_longest_answer(engine):
    """Of all rows: 23 tokens behind the shorter prompt."""
    loaded = engine.models["diffusion"]
    mask_id = loaded.model.vocabulary.mask_id
    rows = [prompted(list(b"milk" * 5), 4, mask_id), prompted(list(b"x"), 23, mask_id)]

    def planned_with(negative, rows):
        settings = Settings(guidance_scale=2.0, negative_prompt=negative)
        return plan(loaded, settings, rows, whole=False, context=24, cues=lambda: None)

    for order in (rows, rows[::-1]):
        assert planned_with("y", order)
        with pytest.raises(InferenceError, match=r"has 2 tokens, with the answer 25; expected"):
            planned_with("yy", order)


def test_options_contradict_each_other_only_where_they_do():
    """What is refused, and what beside it is not."""
    for refused, taken in (
        ({"guidance_scale": 2, "cfg_scale": 1}, {"cfg_scale": 1}),
        ({"negative_prompt": "x"}, {"negative_prompt": "x", "guidance_scale": 2}),
        ({"negative_prompt": "x", "cfg_scale": 0}, {"negative_prompt": "x", "cfg_scale": -1}),
        ({"seed": 0, "seeds": [0]}, {"seeds": [0]}),
        ({"seed": 0, "generator": torch.Generator()}, {"generator": torch.Generator()}),
        ({"regex": "", "json_schema": {}}, {"regex": ""}),
        ({"num_memories": 1}, {"num_memories": 1, "memory_guided": True}),
    ):
        assert Settings.of(taken)
        with pytest.raises(InferenceError):
            Settings.of(refused)
    assert 2.5 == Settings(cfg_scale=1.5).gamma == Settings(guidance_scale=2.5).gamma
    assert 0.0 == Settings(guidance_scale=0).gamma
    assert 1.0 == Settings().gamma == Settings(cfg_scale=0).gamma


@pytest.fixture(scope="module")
def other(run):
    """The run's models under other settings of sampling."""
    overrides = ["sampling.length=10", "sampling.spacing=cosine", "sampling.temperature=0.5"]
    return ArrowEngine.load(run, overrides=overrides, registry=Registry.discover())


def test_what_is_loaded_goes_by_the_registry_and_the_overrides(engine, other):
    """The twin as well."""
    registries = {id(model.resolved.registry) for model in other.models.values()}
    assert 1 == len(registries)
    assert registries.isdisjoint({id(model.resolved.registry) for model in engine.models.values()})
    for mode in ("ar", "diffusion"):
        assert 0.5 == other.models[mode].resolved.config.sampling.temperature
        output = other.generate(["milk", ""], mode=mode, ignore_eos=True)
        assert [9, 9] == [len(ids) for ids in output.token_ids], "behind the begin token"


def test_the_configured_spacing_is_that_of_the_steps(engine, other):
    """Cosine spacing writes few tokens at first, uniform ones as many at all times."""

    def early(made):
        *_, half, _, _, _ = made.stream(
            [""] * 9, max_new_tokens=10, ignore_eos=True, num_inference_steps=6, seed=0
        )
        return sum(row.count(256) for row in half.token_ids)

    assert early(engine) < early(other)


def test_rows_of_a_prompt_stand_side_by_side(engine):
    output = engine.generate(["a", "bo"], num_return_sequences=2, max_new_tokens=1, ignore_eos=True)

    assert [1, 1, 2, 2] == [sum(given) for given in output.given]
    assert ["a", "a", "b", "b"] == [text[0] for text in output.texts]


def test_the_smallest_and_the_largest_gap(engine):
    few = {"num_inference_steps": 1}
    assert 3 == len(engine.infill("a___b", gap=1, **few).token_ids[0])
    assert 23 == len(engine.infill("<mask:23>", **few).token_ids[0])
    with pytest.raises(InferenceError, match="expected a gap of 1 to 23 tokens, got 24"):
        engine.infill("<mask:24>")
    with pytest.raises(InferenceError, match="the text has no gap"):
        engine.infill("a __ b")


def test_an_end_of_text_in_a_gap_ends_nothing(engine):
    """A text with gaps is whole, whatever is written into them."""
    eos = engine.tokenizer.vocabulary.eos_id
    only = [token for token in range(260) if token != eos]
    output = engine.infill("a<mask:3>b", suppress_tokens=only, num_inference_steps=2)

    assert (("length",), ((97, eos, eos, eos, 98),)) == (output.finish_reasons, output.token_ids)
