"""The engine over networks of other noise, of blocks, and of a schedule that was learned."""

import json
import re

import attrs
import jsonschema
import pytest
import torch

from aios_core.config import resolve
from aios_core.errors import InferenceError
from aios_core.experiment.evaluate import evaluate_run
from aios_core.inference import ArrowEngine
from aios_core.training.trainer import train

TIMED = {"dim": 16, "layers": 1, "heads": 2, "time_conditioned": True}
FEW = {"num_inference_steps": 12}
"""Steps, in which each token may still change several times."""
RUNS = {
    "uniform": {"corruption": {"type": "uniform"}, "backbone": TIMED},
    "hybrid": {"corruption": {"type": "hybrid"}, "backbone": TIMED},
    "blocks": {"diffusion": {"length": 24, "block_size": 4}, "backbone": TIMED},
    "learned": {"noise": {"type": "learned"}},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of runs, hardly trained."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "corpus.txt").write_text("a bottle of milk, and another. " * 100)
    small = {
        "dataset": {"type": "file", "path": str(folder / "corpus.txt")},
        "tokenizer": {"type": "bytes"},
        "backbone": {"dim": 16, "layers": 1, "heads": 2},
        "diffusion": {"length": 24},
        "training": {"steps": 4, "batch_size": 8},
        "sampler": {"type": "ancestral", "steps": 4},
        "sampling": {"num_samples": 3, "batch_size": 2},
        "evaluation": {"twin": False, "max_tokens": 200},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOS_CACHE", str(folder / "cache"))
        torch.set_num_threads(1)
        for name, sections in RUNS.items():
            train(resolve({**small, **sections}), folder / name, progress=False)
        yield folder


@pytest.fixture(scope="module")
def precise(runs):
    """Engines in float64: what is left of a difference is no rounding."""

    def engine(name):
        loaded = ArrowEngine.load(runs / name).models["diffusion"]
        return ArrowEngine({"diffusion": attrs.evolve(loaded, model=loaded.model.double())})

    return {name: engine(name) for name in RUNS}


@pytest.mark.parametrize("name", RUNS)
def test_prompts_and_gaps(runs, name):
    """What is given stays, no mask is left, and a row is the same alone."""
    engine = ArrowEngine.load(runs / name)
    output = engine.generate(["milk", "a bottle", ""], seed=5)
    for text, prompt in zip(output.texts, ("milk", "a bottle", ""), strict=True):
        assert text.startswith(prompt)
    for row, prompt in enumerate(("milk", "a bottle", "")):
        assert 256 not in output.token_ids[row]
        assert all(-100 < value <= 0 for value in output.log_probs[row])
        assert output.texts[row] == engine.generate(prompt, seeds=[output.seeds[row]]).texts[0]
    filled = engine.infill("a ___ of <mask:3>.", gap=6).token_ids[0]
    assert b"a " == bytes(filled[:2])
    assert ord(".") == filled[-1]
    *_, last = engine.stream("milk", seed=5)
    assert last.output.texts[0] == engine.generate("milk", seed=5).texts[0]


@pytest.mark.parametrize("name", RUNS)
def test_evaluation(runs, name):
    """The bound of what was trained, and samples with a film of how they came about."""
    results = evaluate_run(runs / name, overrides=["evaluation.twin=false"])
    assert 0 < results["model"]["metrics"]["nelbo"]["value"] < 20
    film = results["samples"]["film"]
    shown = {}
    for frame in film["frames"]:
        shown.update({place: token for place, token, _ in frame})
    assert film["tokens"] == [shown[place] for place in range(23)], "behind the begin token"


def test_vectors_of_blocks_look_no_further(runs):
    """The mean of the states that the network has of clean text, each block behind those before."""
    engine = ArrowEngine.load(runs / "blocks")
    model = engine.models["diffusion"].model
    ids = [engine.tokenizer.vocabulary.bos_id, *engine.tokenizer.encode("a bottle of").tolist()]
    x, t = torch.tensor(ids)[None], torch.zeros(1, dtype=torch.float64)
    with torch.no_grad():
        blocks = [range(i, min(i + 4, x.shape[1])) for i in range(0, x.shape[1], 4)]
        states = [model.denoiser().states(x, t, b.start, b.stop) for b in blocks]
    mean = torch.cat(states, 1)[0].mean(0)
    expected = (mean / mean.norm()).numpy()
    assert pytest.approx(expected, abs=1e-5) == engine.encode("a bottle of")[0]


def test_learned_times_are_kept(runs):
    """The schedule is read with the network, and samplers go by it."""
    model = ArrowEngine.load(runs / "learned").models["diffusion"].model
    assert model.noise.logits.any()
    assert not torch.equal(
        model.noise.timesteps(4, "information"), torch.linspace(1, 0, 5).double()
    )


@pytest.mark.parametrize("name", ["uniform", "hybrid"])
def test_what_needs_masks_is_refused(runs, name):
    engine = ArrowEngine.load(runs / name)
    for options, message in (
        ({"count_flips": True}, "this noise has no masks"),
        ({"sampler": "confidence"}, "Confidence works with masks alone"),
        ({"block_size": 4}, "Blocks works with masks alone"),
    ):
        with pytest.raises(InferenceError, match=message):
            engine.generate("milk", **options)


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "psi"])
@pytest.mark.parametrize("name", ["uniform", "hybrid"])
def test_guidance_under_other_noise(runs, name, sampler):
    """T27: gamma 1 is the conditional model, 0 the one that does not see the prompt."""
    engine = ArrowEngine.load(runs / name)
    options = {"sampler": sampler, "seeds": [4], "max_new_tokens": 8, **FEW}

    def written(prompt, **more):
        return engine.diffuse(prompt, **options, **more)

    assert written("milk").token_ids == written("milk", guidance_scale=1).token_ids
    first, other = (written(p, guidance_scale=0).token_ids[0] for p in ("milk", "abcd"))
    assert first[4:] == other[4:]
    led = written("milk", guidance_scale=2.5)
    assert led.token_ids == written("milk", cfg_scale=1.5).token_ids
    assert led.log_probs != written("milk").log_probs
    assert b"milk" == bytes(led.token_ids[0][:4])
    same = written("milk", guidance_scale=3, negative_prompt="milk")
    assert same.token_ids == written("milk").token_ids


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "psi"])
@pytest.mark.parametrize("name", ["uniform", "hybrid"])
def test_promises_are_kept_under_other_noise(runs, name, sampler):
    """Every token may change until the end, and in the end the text is one of the language."""
    engine, language = ArrowEngine.load(runs / name), "[a-c]{2,}(-[0-9]+)?"
    how = {"sampler": sampler, **FEW}
    drawn = {"top_k": 3, "repetition_penalty": 1.3, "suppress_tokens": [99]}
    led = {"guidance_scale": 2.0, "negative_prompt": "xyz", "temperature": 0.7}
    for prompts, more in ((["milk", ""], {}), (["milk", "a bottle"], {**drawn, **led})):
        output = engine.diffuse(prompts, regex=language, max_new_tokens=9, **how, **more)
        for text in output.completions:
            assert re.fullmatch(language, text)
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 2}
    output = engine.diffuse("milk", json_schema=schema, max_new_tokens=12, **how)
    jsonschema.validate(json.loads(output.completions[0]), schema)
    filled = engine.infill("1<mask:2>4", regex=r"[0-9]*", **how)
    assert re.fullmatch(r"1\d\d4", filled.texts[0])


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "psi"])
@pytest.mark.parametrize("name", ["uniform", "hybrid"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"regex": "[a-c]{2,}"},
        {"temperature": 0},
        {"top_k": 5, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.3},
        {"guidance_scale": 2.0, "negative_prompt": "xyz"},
    ],
    ids=["plain", "constraint", "cold", "controls", "guided"],
)
def test_rows_do_not_depend_on_their_batch_under_other_noise(precise, name, sampler, more):
    """T16: padded in a batch and alone, whatever else is asked; what is suppressed never comes."""
    engine, prompts = precise[name], ["milk", "a bottle"]
    options = {"sampler": sampler, "max_new_tokens": 9, "suppress_tokens": [97, 259], **FEW, **more}
    together = engine.diffuse(prompts, seed=5, **options)
    for row, prompt in enumerate(prompts):
        alone = engine.diffuse(prompt, seeds=[together.seeds[row]], **options)
        assert together.token_ids[row] == alone.token_ids[0]
        assert not {97, 256, 259} & set(together.token_ids[row][len(prompt) :])


def test_other_blocks_are_refused(runs):
    with pytest.raises(InferenceError, match="trained in blocks of 4"):
        ArrowEngine.load(runs / "blocks").generate("milk", block_size=8)
