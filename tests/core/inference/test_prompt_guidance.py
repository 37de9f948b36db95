"""What guidance leads away from, beside other rows and behind other prompts."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from aios_core.inference.gaps import infilling
from aios_plugins.conditioners.memory import Memory, MemorySource


def test_a_negative_prompt_beside_rows_of_other_lengths(engine):
    """What a shorter row is padded by in the other text is not seen."""
    options = {"guidance_scale": 2.5, "negative_prompt": "b"}
    both = engine.diffuse(["a bottle of", "a"], seed=1, **options)
    alone = engine.diffuse("a bottle of", seeds=both.seeds[:1], **options)

    assert both.token_ids[0] == alone.token_ids[0]
    assert both.log_probs[0] == pytest.approx(alone.log_probs[0], abs=1e-4)


def test_guidance_of_scale_0_writes_behind_the_negative_prompt(engine):
    """Wherever that prompt ends: it is the other text, without the prompt."""
    options = {"temperature": 0, "sampler": "confidence", "max_new_tokens": 8, "ignore_eos": True}
    for negative in ("ab", "abcd", "another"):
        led = engine.diffuse("milk", guidance_scale=0, negative_prompt=negative, **options)
        there = engine.diffuse(negative, **options)

        assert there.token_ids[0][len(negative) :] == led.token_ids[0][4:]


def test_batches_are_joined_in_their_order(engine):
    """Of 3 rows and 1: each row has what is its own, and every call of the network counts."""
    options = {"mode": "ar", "max_new_tokens": 7, "ignore_eos": True}
    output = engine.generate(["milk", "a", "bo", "x"], seed=3, **options)
    alone = engine.generate("x", seeds=output.seeds[3:], **options)

    assert (14, 7) == (output.nfe, alone.nfe)
    assert [4, 1, 2, 1] == [sum(row) for row in output.given]
    assert output.token_ids[3:] == alone.token_ids
    assert output.completions[3:] == alone.completions
    assert output.uncertainty[3] == pytest.approx(alone.uncertainty[0], abs=1e-4)


@pytest.mark.parametrize(("capabilities", "exact"), [({"approximate"}, False), (set(), None)])
def test_memories_are_found_by_all_that_is_given_and_by_the_index(engine, capabilities, exact):
    """What stands behind a gap too; where a store has no index, as it searches anyway."""
    result, asked = engine.models["diffusion"], []

    class Asked:
        store = SimpleNamespace(backend=SimpleNamespace(capabilities=capabilities))

        def __call__(self, texts, k, *, exact):
            asked.append((texts, k, exact))

    rows = [
        infilling(result.tokenizer, "the <mask:2> milk", 8, 24, None),
        infilling(result.tokenizer, "rain___", 3, 24, None),
    ]
    Asked.embedder = SimpleNamespace(provider=SimpleNamespace(fingerprint=""))
    given = [[i for i, fixed in zip(row.ids, row.fixed, strict=True) if fixed] for row in rows]
    MemorySource(Memory(k=5, store=Path("x")), Asked(), result.tokenizer).for_sampling(given, {})

    assert [(["the  milk", "rain"], 5, exact)] == asked
