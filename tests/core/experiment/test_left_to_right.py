"""Rows filled in by an autoregressive network."""

import torch

from aios_core.config import resolve
from aios_core.contracts import Sequences, Vocabulary
from aios_core.diffusion.model import Model
from aios_core.experiment.left_to_right import filled_in

VOCABULARY = Vocabulary(size=12, mask_id=8, pad_id=9, bos_id=10, eos_id=11)


def config(**sampling):
    return resolve(
        {
            "mode": "ar",
            "backbone": {"dim": 32, "layers": 1, "heads": 2},
            "diffusion": {"length": 8},
            "sampling": sampling,
        }
    ).config


def asked(*rows):
    """Rows as texts: a digit is given, `?` is to be written, `.` is padding."""
    ids = torch.tensor(
        [[10, *(0 if c == "?" else 9 if c == "." else int(c) for c in r)] for r in rows]
    )
    marks = torch.tensor([[False, *(c == "?" for c in r)] for r in rows])
    return Sequences(ids, torch.ones_like(marks), marks)


def test_what_is_given_stays_wherever_it_stands():
    settings = config()
    model = Model.build(settings, VOCABULARY)
    rows = asked("12?4?6", "???456", "1????.", "123???")

    ids, nfe = filled_in(settings, model, rows, seeds=[1, 2, 3, 4])

    before_end = ((ids == 11) & rows.targets).cumsum(-1) == 0
    given = ~rows.targets & before_end
    assert torch.equal(ids[given], rows.ids[given])
    assert not (ids == 8).any()
    assert 0 < nfe <= 6


def test_a_row_depends_on_its_seed_and_not_on_its_batch_mates():
    settings = config()
    model = Model.build(settings, VOCABULARY)
    rows = asked("12?4?6", "???456", "1????.")

    together, _ = filled_in(settings, model, rows, seeds=[1, 2, 3])

    for number in range(3):
        alone, _ = filled_in(settings, model, rows[number : number + 1], seeds=[number + 1])
        assert torch.equal(alone[0], together[number])


def test_temperature_zero_takes_the_likeliest_token_after_what_stands_before_it():
    settings = config(temperature=0)
    model = Model.build(settings, VOCABULARY).eval()
    rows = asked("12?4")

    ids, _ = filled_in(settings, model, rows, seeds=[1])

    logits = model.decode(model.states(rows.ids[:, :3], None))[0, -1]
    logits[8] = -torch.inf
    assert logits.argmax() == ids[0, 3]
