"""Whether code draws from a generator that all code shares, or seeds it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def global_generators_left_alone() -> Iterator[None]:
    """Around calls of a component.

    A result that depends on a global generator depends on all that was drawn before it, and seeding
    one changes what others draw.

    Raises:
        AssertionError: which generator is in another state afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # what is watched
        # A seed that no plugin uses: one that seeds and draws alike would find the state it leaves.
        torch.manual_seed(2**31 - 19)
        np.random.seed(2**31 - 19)  # noqa: NPY002
        random.seed(2**31 - 19)
        try:
            before = _states()
            yield
            after = _states()
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
    used = [name for name, state in before.items() if state != after[name]]
    assert not used, (
        f"it draws from the global generator of {' and of '.join(used)}, or seeds it; expected the "
        "generator that it is given, or one of its own"
    )


def _states() -> dict[str, object]:
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (numpy["state"]["key"].tobytes(), numpy["state"]["pos"], numpy["has_gauss"]),
        "Python (random)": random.getstate(),
    }
