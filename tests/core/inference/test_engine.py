"""ArrowEngine."""

import json
import re
from itertools import pairwise

import attrs
import jsonschema
import numpy as np
import pytest
import torch

from aios_core import allocation
from aios_core.contracts import Sampler, Vocabulary
from aios_core.errors import InferenceError, ModelLoadError, PluginError
from aios_core.inference import ArrowEngine
from aios_core.testing.conformance import tokens
from aios_plugins.samplers.confidence import Confidence

MASK = 256
SAMPLERS = ["ancestral", "confidence", "first-hitting"]


@pytest.mark.parametrize("mode", ["ar", "diffusion"])
def test_both_modes_continue_prompts(engine, mode):
    output = engine.generate(["milk", "a bottle"], mode=mode, max_new_tokens=7, ignore_eos=True)

    assert mode == output.mode
    assert ("length", "length") == output.finish_reasons
    for row, prompt in enumerate(("milk", "a bottle")):
        assert output.texts[row].startswith(prompt)
        assert len(prompt) + 7 == len(output.token_ids[row])
        assert [True] * len(prompt) + [False] * 7 == list(output.given[row])
        for values in (output.log_probs[row], output.uncertainty[row]):
            assert [0.0] * len(prompt) == list(values[: len(prompt)])
            assert len(values) == len(output.token_ids[row])
        assert all(value < 0 for value in output.log_probs[row][len(prompt) :])
        assert all(0 < value < np.log(260) for value in output.uncertainty[row][len(prompt) :])
    assert output.nfe == 7 if mode == "ar" else 1 <= output.nfe <= 6
    assert output.seconds > 0


@pytest.mark.parametrize("mode", ["ar", "diffusion"])
def test_a_seed_writes_a_row_again_alone_or_not(engine, mode):
    together = engine.generate(["milk", "a bo", "", "x"], mode=mode, seed=5)
    for row, prompt in enumerate(["milk", "a bo", "", "x"]):
        alone = engine.generate(prompt, mode=mode, seeds=[together.seeds[row]])
        assert together.token_ids[row] == alone.token_ids[0]
        assert pytest.approx(together.log_probs[row], abs=1e-4) == alone.log_probs[0]
    assert together.seeds != engine.generate(["milk"] * 4, mode=mode, seed=6).seeds


def test_a_generator_gives_the_seeds(engine):
    first, second = (
        engine.generate("", generator=torch.Generator().manual_seed(1)) for _ in range(2)
    )

    assert first.texts == second.texts


@pytest.mark.parametrize("mode", ["ar", "diffusion"])
def test_no_temperature_no_chance(engine, mode):
    output = engine.generate(
        "milk", mode=mode, temperature=0, num_return_sequences=4, sampler="first-hitting"
    ) if mode == "diffusion" else engine.generate(
        "milk", mode=mode, temperature=0, num_return_sequences=4
    )  # fmt: skip

    assert 4 == len(output.texts)
    assert mode == "diffusion" or len(set(output.texts)) == 1


def test_prompts_may_be_ids(engine):
    expected = engine.generate(["milk", "a"], seed=1).token_ids
    ids = [list(b"milk"), list(b"a")]

    assert expected == engine.generate(ids, seed=1).token_ids
    assert expected[:1] == engine.generate(np.array(ids[0]), seed=1).token_ids
    assert expected[:1] == engine.generate(torch.tensor(ids[0]), seed=1).token_ids


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_fixed_stays(engine, sampler):
    """T13, T14."""
    rows = np.full((2, 12), MASK)
    rows[:, 3:6], rows[1, 9] = list(b"xyz"), 7
    fixed = rows != MASK
    output = engine.diffuse(rows, fixed=fixed, sampler=sampler)
    result = np.array(output.token_ids)

    assert np.array_equal(rows[fixed], result[fixed])
    assert MASK not in result
    assert np.array_equal(fixed, output.given)
    assert output.token_ids == engine.diffuse(
        torch.tensor(rows), fixed=torch.tensor(fixed), sampler=sampler
    ).token_ids  # fmt: skip


def test_gaps_are_filled(engine):
    output = engine.infill(["milk <mask:2> and ___.", "___"], gap=3)

    assert output.texts[0].startswith("milk ")
    assert output.texts[0].endswith(".")
    assert [16, 3] == [len(row) for row in output.token_ids]


@pytest.mark.parametrize("mode", ["ar", "diffusion"])
def test_streams_grow_into_the_output(engine, mode):
    updates = list(engine.stream(["milk", ""], mode=mode, seed=2))
    output = engine.generate(["milk", ""], mode=mode, seed=2)
    last = updates[-1].output

    assert [None] * (len(updates) - 1) == [update.output for update in updates[:-1]]
    assert attrs.evolve(output, seconds=0) == attrs.evolve(last, seconds=0)
    for row in range(2):
        assert output.completions[row] == "".join(update.deltas[row] for update in updates)
    counts = [update.nfe for update in updates]
    assert sorted(counts) == counts


def test_a_stream_shows_every_state(engine):
    updates = list(engine.stream("milk", max_new_tokens=8, ignore_eos=True))
    assert (*b"milk", *[MASK] * 8) == updates[0].token_ids[0]
    for before, after in pairwise(updates[:-1]):
        changed = [a != b for a, b in zip(before.token_ids[0], after.token_ids[0], strict=True)]
        assert changed == list(after.new[0])
    assert updates[-1].token_ids == updates[-1].output.token_ids


def test_a_callback_sees_what_a_stream_yields(engine):
    seen = []
    engine.generate("milk", seed=1, callback_on_step_end=seen.append)
    shown = list(engine.stream("milk", seed=1))

    assert [each.token_ids for each in seen] == [each.token_ids for each in shown]


def test_deltas_hold_no_halves_of_characters(engine):
    """The last bytes of a character may come steps after the first."""
    from aios_core.inference.progress import Progress
    from aios_core.inference.prompts import prompted

    data = list("aé€".encode())
    progress = Progress("ar", engine.tokenizer, [prompted([], len(data), MASK)], [0], None)
    deltas = [
        progress.update(i, i, [data[:i]], [[False] * i]).deltas[0] for i in range(len(data) + 1)
    ]

    assert ["", "a", "", "é", "", "", "€"] == deltas


def test_an_end_of_text_counts_once_nothing_before_it_is_masked(engine):
    from aios_core.inference.progress import Progress
    from aios_core.inference.prompts import prompted

    eos = engine.tokenizer.vocabulary.eos_id
    progress = Progress("diffusion", engine.tokenizer, [prompted([eos], 4, MASK)], [0], eos)

    assert not progress.complete(0, [eos, 1, MASK, eos, MASK])
    assert progress.complete(0, [eos, 1, 2, eos, MASK])
    output = progress.output(3, [[eos, 1, 2, eos, MASK]], [[0.0] * 5], [[0.0] * 5])
    assert (("stop",), ((eos, 1, 2, eos),)) == (output.finish_reasons, output.token_ids)


def test_texts_end_early(engine):
    """Rows are cut at their end of text, and the sampler stops when all are there."""
    eager = ArrowEngine(engine.models)
    eos = engine.tokenizer.vocabulary.eos_id
    output = eager.diffuse(
        "milk", sampler="confidence", num_inference_steps=20, block_size=1,
        suppress_tokens=[i for i in range(260) if i not in (eos, 97)], seed=0,
    )  # fmt: skip

    assert ("stop",) == output.finish_reasons
    assert eos == output.token_ids[0][-1]
    assert eos not in output.token_ids[0][:-1]
    assert output.nfe == len(output.token_ids[0]) - 4


LANGUAGES = [
    {"regex": "(milk|bottle)( [a-z]{1,3}){0,2}"},
    {"json_schema": {"type": "array", "items": {"type": "integer"}, "minItems": 1}},
]


@pytest.mark.parametrize("language", LANGUAGES, ids=["regex", "schema"])
@pytest.mark.parametrize("sampler", ["ar", *SAMPLERS])
def test_promises_are_kept_in_both_modes(engine, language, sampler):
    """Whatever the order, with prompts of any length, for texts of any length that fits."""
    options = {"mode": "ar"} if sampler == "ar" else {"sampler": sampler}
    output = engine.generate(["a ", "", "x", "y"], max_new_tokens=14, **options, **language)
    for text in output.completions:
        if "regex" in language:
            assert re.fullmatch(language["regex"], text)
        else:
            jsonschema.validate(json.loads(text), language["json_schema"])


def test_every_sampler_keeps_promises(engine):
    """All that is registered, also those that take tokens back."""
    registry = engine.models["diffusion"].resolved.registry
    for name, cls in tokens("sampler", registry).items():
        few = {"num_inference_steps": 4} if "steps" in attrs.fields_dict(cls) else {}
        output = engine.diffuse(
            "a ", sampler=name, regex="[0-9]{2,4}-(milk|x+)", max_new_tokens=10, **few
        )
        assert re.fullmatch("[0-9]{2,4}-(milk|x+)", output.completions[0]), name


def test_promises_hold_whatever_else_is_asked(engine):
    common = {"regex": "[a-c]+d", "max_new_tokens": 9, "num_return_sequences": 3}
    for options in (
        {"temperature": 0},
        {"top_k": 1},
        {"top_p": 0.1, "repetition_penalty": 2.0},
        {"suppress_tokens": [97], "ignore_eos": True},
        {"block_size": 2},
        {"guidance_scale": 3.0},
    ):
        output = engine.diffuse("milk", **common, **options)
        assert all(re.fullmatch("[a-c]+d", text) for text in output.completions)
        if "ignore_eos" in options:
            assert all(len(text) == 9 and "a" not in text for text in output.completions)


def test_a_text_with_gaps_matches_as_a_whole(engine):
    output = engine.infill("1<mask:2>4", regex=r"[0-9]*", num_return_sequences=5)
    assert all(re.fullmatch(r"1\d\d4", text) for text in output.texts)
    with pytest.raises(InferenceError, match="with the 2 that are given"):
        engine.infill("1<mask:2>x", regex="[0-9]*")


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_blocks_may_be_cached(engine, cache):
    """As many calls, and the first of each is exact: blocks of one are, as a whole."""
    options = {"block_size": 8, "cache": cache, "max_new_tokens": 19, "ignore_eos": True}
    output = engine.diffuse(["milk", "a"], sampler="threshold", **options)
    assert [23, 20] == [len(ids) for ids in output.token_ids]
    assert not any(MASK in ids for ids in output.token_ids)
    outputs = [
        engine.diffuse("milk", sampler="threshold", **{**options, "block_size": 1, "cache": each})
        for each in (cache, "none")
    ]
    assert outputs[0].token_ids == outputs[1].token_ids


def test_guidance_leads_away_from_no_prompt(engine):
    """T27, in the engine: a scale of 1 asks one model, another one two, in both conventions."""
    plain = engine.diffuse("milk", seed=1)
    assert plain.texts == engine.diffuse("milk", seed=1, guidance_scale=1.0).texts
    assert plain.texts == engine.diffuse("milk", seed=1, cfg_scale=0).texts
    guided = engine.diffuse(["milk", "a bo"], seed=1, guidance_scale=2.5)
    assert guided.token_ids == engine.diffuse(["milk", "a bo"], seed=1, cfg_scale=1.5).token_ids
    assert plain.log_probs[0] != guided.log_probs[0]
    negative = engine.diffuse(
        ["milk", "a bo"], seed=1, guidance_scale=2.5, negative_prompt="bottle", max_new_tokens=9
    )
    alone = engine.diffuse(
        "a bo", seeds=negative.seeds[1:], guidance_scale=2.5, negative_prompt="bottle",
        max_new_tokens=9,
    )  # fmt: skip
    assert negative.token_ids[1] == alone.token_ids[0]


def test_a_negative_prompt_that_is_the_prompt_leads_nowhere(engine):
    options = {"seed": 1, "max_new_tokens": 8}
    led = engine.diffuse("milk", negative_prompt="milk", guidance_scale=3.0, **options)
    assert engine.diffuse("milk", **options).token_ids == led.token_ids


def test_vectors(engine):
    vectors = engine.encode(["milk", "a bottle", "milk"])

    assert (3, 32) == vectors.shape
    assert np.float32 == vectors.dtype
    assert np.allclose(1, np.linalg.norm(vectors, axis=1), atol=1e-6)
    assert np.allclose(vectors[0], vectors[2], atol=1e-6)
    assert np.allclose(vectors[0], engine.encode("milk")[0], atol=1e-5)
    assert not np.allclose(vectors[0], engine.encode("milk", mode="ar")[0], atol=1e-2)


def test_samplers_may_be_built(engine):
    sampler = Confidence(steps=3)
    output = engine.diffuse("", sampler=sampler, ignore_eos=True)

    assert 3 == output.nfe
    for name in ("num_inference_steps", "num_steps"):
        again = engine.diffuse("", sampler="confidence", ignore_eos=True, **{name: 3})
        assert output.texts == again.texts


@pytest.mark.parametrize(
    ("call", "options", "expected"),
    [
        ("diffuse", {"num_inference_steps": 0}, "num_inference_steps"),
        ("diffuse", {"num_inference_steps": -4}, "num_inference_steps"),
        ("diffuse", {"num_inference_steps": 4, "sampler": "first-hitting"}, "no number of steps"),
        ("diffuse", {"num_steps": 0}, "num_inference_steps"),
        ("diffuse", {"num_steps": 4, "num_inference_steps": 4}, "are one setting"),
        ("generate", {"prompt": "x" * 25}, "the prompt has 25 tokens and samples have 23"),
        ("generate", {"prompt": "x" * 24, "max_new_tokens": 1}, "the context is 23"),
        ("generate", {"max_new_tokens": 0}, "max_new_tokens"),
        ("generate", {"temperature": -1}, "temperature"),
        ("generate", {"temperature": float("nan")}, "temperature"),
        ("generate", {"top_p": 0}, "top_p"),
        ("generate", {"seed": 1, "seeds": [1]}, "seed and seeds contradict each other"),
        ("generate", {"seeds": [1, 2]}, "2 seeds for 1 rows"),
        ("generate", {"temprature": 1}, "temprature: is not an option; did you mean temperature?"),
        ("generate", {"mode": "gan"}, "mode 'gan' is unknown"),
        ("generate", {"mode": "ar", "num_inference_steps": 4}, "does not support it"),
        ("generate", {"mode": "ar", "sampler": "ancestral"}, "does not support it"),
        ("generate", {"prompt": []}, "expected at least 1 prompt"),
        ("generate", {"prompt": [[1, 999]]}, "id 999 is not in the vocabulary"),
        ("generate", {"prompt": [[1.5]]}, "expected text or token ids"),
        ("generate", {"prompt": "\ud800"}, "lone surrogate"),
        ("generate", {"guidance_scale": 2, "cfg_scale": 1}, "one setting in two conventions"),
        ("generate", {"negative_prompt": "x"}, "negative_prompt has no effect"),
        ("generate", {"regex": "a", "json_schema": {}}, "regex and json_schema contradict"),
        ("generate", {"regex": "("}, "a group is not closed"),
        ("generate", {"regex": "a{30}"}, "no text of at most 23 tokens"),
        ("generate", {"regex": "a", "suppress_tokens": [97]}, "no text of at most"),
        ("generate", {"regex": "aaa", "max_new_tokens": 4, "ignore_eos": True}, "no text"),
        ("generate", {"json_schema": {"enum": []}}, "expected an array that is not empty"),
        ("generate", {"json_schema": {"const": "long"}, "max_new_tokens": 3}, "no text of at"),
        ("generate", {"guidance_scale": 2}, "a row is fully masked"),
        ("generate", {"prompt": "x", "guidance_scale": 2, "mode": "ar"}, "does not support it"),
        (
            "generate",
            {"prompt": "x", "guidance_scale": 2, "negative_prompt": "y" * 9},
            "negative_prompt has 9 tokens, with the answer 31",
        ),
        (
            "generate",
            {"prompt": "x", "guidance_scale": 2, "negative_prompt": ""},
            "negative_prompt has 0 tokens, with the answer 22; expected at least one",
        ),
        ("generate", {"suppress_tokens": [1, 999]}, "suppress_tokens: 999 is not a token"),
        ("generate", {"suppress_tokens": [999], "mode": "ar"}, "expected 0 to 259"),
        ("diffuse", {"cache": "dual"}, "expected a block_size as well"),
        ("diffuse", {"cache": "all", "block_size": 2}, "cache"),
        ("diffuse", {"cache": "dual", "block_size": 2, "regex": "a*"}, "needs all of the text"),
        (
            "diffuse",
            {"prompt": "x", "cache": "dual", "block_size": 2, "cfg_scale": 1},
            "guidance needs two",
        ),
        ("infill", {"text": "x_y___", "guidance_scale": 2, "negative_prompt": "y"}, "have none"),
        ("diffuse", {"modality": "image"}, "modality: expected 'text', got 'image'"),
        ("diffuse", {"prompt": "x", "fixed": [[True]]}, "fixed goes with token ids"),
        ("diffuse", {"prompt": [[1, MASK]], "fixed": [[True]]}, "fixed has the shape (1, 1)"),
        ("diffuse", {"prompt": [[1, MASK]], "fixed": [[1, 0]]}, "expected booleans"),
        ("diffuse", {"prompt": [[1, MASK]], "fixed": [[1, 0]], "max_new_tokens": 3}, "leave it"),
        ("diffuse", {"prompt": [[1, MASK]], "fixed": [[True, True]]}, "is fixed and holds a mask"),
        ("diffuse", {"prompt": [[1, 2]], "fixed": [[True, True]]}, "nothing to sample"),
        ("infill", {"text": "no gap"}, "the text has no gap"),
        ("infill", {"text": "___", "max_new_tokens": 3}, "the gaps say"),
        ("infill", {"text": "___", "gap": 0}, "gap is 0"),
        ("encode", {"texts": ["a", ""]}, "text 1 has 0 tokens; expected 1 to 23"),
        ("encode", {"texts": "x" * 24}, "24 tokens"),
    ],
)
def test_what_cannot_be_done_is_said_before_it_is_tried(engine, call, options, expected):
    calls = [0]
    handles = [
        model.model.register_forward_pre_hook(lambda *_: calls.append(1))
        for model in engine.models.values()
    ]
    with pytest.raises(InferenceError) as error:
        getattr(engine, call)(**options)
    for handle in handles:
        handle.remove()

    assert expected in str(error.value)
    assert [0] == calls


def test_a_backslash_makes_a_gap_text(engine):
    """Fault D8: a text may hold what is a gap elsewhere."""
    text = engine.infill(r"\___ \<mask:0> \\<mask:2>\n", seed=1).texts[0]

    assert text.startswith("___ <mask:0> \\")
    assert text.endswith("\\n")
    (row,) = engine.infill(r"\\\<mask>\\\\<mask:2>", seed=1).given
    assert [True] * 7 + [True, True] + [False, False] == list(row)


def test_unknown_samplers_are_named(engine):
    with pytest.raises(PluginError, match="ancestal"):
        engine.diffuse("", sampler="ancestal")


def test_what_no_memory_can_hold_is_refused_before_any_work(engine, monkeypatch):
    """Fault D7: a billion texts were begun, and the kernel killed the process."""
    with pytest.raises(
        InferenceError, match=r"1,0[0,]* texts.* use a smaller `num_return_sequences`"
    ):
        engine.generate("milk", num_return_sequences=10**12)

    monkeypatch.setattr(allocation, "_total", lambda _: 4 * 3 * 24 * 260 - 1)
    engine.generate("", num_return_sequences=2)
    engine.generate("", num_return_sequences=3, mode="ar")
    with pytest.raises(InferenceError, match=r"writing 3 texts of 24 tokens.*sampling.batch_size"):
        engine.generate("", num_return_sequences=3)
    with pytest.raises(InferenceError, match="writing 3 texts of 24 tokens at once"):
        list(engine.stream("", num_return_sequences=3))


def test_long_work_says_how_it_goes(engine, caplog, run):
    with caplog.at_level("INFO"):
        engine.generate("", num_return_sequences=40, num_inference_steps=1)
        ArrowEngine.load(run, context=40).generate("milk", max_new_tokens=30, mode="ar")

    said = [message for message in caplog.messages if message.endswith(" of 40 texts are written")]
    assert (10, "40 of 40 texts are written") == (len(said), said[-1])
    assert "texts of 34 tokens are longer than those of the training, of 23" in caplog.text


def test_one_mode_is_another_only_when_asked(run):
    alone = ArrowEngine.load(run, twin=False)
    assert ["diffusion"] == list(alone.models)
    with pytest.raises(
        InferenceError,
        match=r"`mode`: expected 'diffusion', the only model here, .*twin = true trains",
    ):
        alone.generate("milk", mode="ar")
    assert "diffusion" == alone.generate("milk", mode="ar", fallback=True).mode

    causal = ArrowEngine.load(run / "twin")
    assert "ar" == causal.generate("milk").mode
    with pytest.raises(
        InferenceError, match=r"`mode`: expected 'ar', .* mode = 'diffusion' trains"
    ):
        causal.infill("___")


def test_a_context_may_be_widened(run):
    wide = ArrowEngine.load(run, context=40, twin=False)

    assert 40 == len(wide.diffuse("", max_new_tokens=40, ignore_eos=True).token_ids[0])
    for context in (0, -5):
        with pytest.raises(InferenceError, match=f"context is {context}; expected 1"):
            ArrowEngine.load(run, context=context, twin=False)


def test_settings_of_sampling_may_be_overridden(run):
    overrides = ["sampler.type=confidence", "sampling.temperature=0"]
    engine = ArrowEngine.load(run, overrides=overrides)

    assert isinstance(engine.models["diffusion"].resolved.config.sampler, Confidence)
    with pytest.raises(InferenceError, match=r"\[sampler\] and \[sampling\] only"):
        ArrowEngine.load(run, overrides=["noise.type=cosine"])


def test_models_and_tokenizers_must_belong_together(engine, run, tmp_path):
    first = engine.models["diffusion"]
    with pytest.raises(InferenceError, match="expected a model of mode ar, got diffusion"):
        ArrowEngine({"ar": first})
    with pytest.raises(InferenceError, match="no model was given"):
        ArrowEngine({})
    with pytest.raises(ModelLoadError, match="holds no checkpoint"):
        ArrowEngine.load(tmp_path)

    class Other(type(first.tokenizer)):
        vocabulary = Vocabulary(size=300, mask_id=256, pad_id=257, bos_id=258, eos_id=259)

    with pytest.raises(InferenceError, match="the model has Vocabulary"):
        ArrowEngine({"diffusion": attrs.evolve(first, tokenizer=Other())})

    class Foreign(type(first.tokenizer)):
        fingerprint = "other"

    foreign = attrs.evolve(engine.models["ar"], tokenizer=Foreign())
    with pytest.raises(InferenceError, match="has another tokenizer"):
        ArrowEngine({"diffusion": first, "ar": foreign})


@attrs.frozen
class Stubborn(Sampler):
    """Draws by itself."""

    exact = "never"

    def denoise(self, x, context):
        log_probs = yield x, torch.ones(len(x)).double()
        chosen = log_probs.cumsum(-1).argmin(-1).clamp(max=99)
        return torch.where(context.masked(x), chosen, x)


def test_a_promise_that_a_sampler_breaks_is_told(engine):
    with pytest.raises(InferenceError, match=r"by other means than context\.categorical"):
        engine.diffuse("milk", sampler=Stubborn(), regex="ab*")
