"""Memory that runs out is an error that says what to make smaller, and no other error is that."""

import pytest

from aios_core.allocation import answer_bytes, enough_memory, out_of_memory
from aios_core.errors import ModelLoadError

OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {})


@pytest.mark.parametrize(
    ("error", "right"),
    [
        (MemoryError(), True),
        (OutOfMemoryError("?"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("Storage size calculation overflowed with sizes=[9]"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
        (KeyError("alloc_cpu"), False),
    ],
)
def test_what_says_that_there_is_no_room(error, right):
    assert right == out_of_memory(error)
    kind = ModelLoadError if right else type(error)
    with pytest.raises(kind) as caught, enough_memory(ModelLoadError, "a step", "fewer rows"):
        raise error
    if right:
        assert str(caught.value).startswith("a step: there is not enough memory; fewer rows (")
        assert error is caught.value.__cause__
    else:
        assert error is caught.value


def test_work_that_cannot_fit_is_refused_before_it_begins():
    begun = []
    with (
        pytest.raises(
            ModelLoadError, match=r"it takes at least 1,073,741,824.0 GiB, and there are"
        ),
        enough_memory(ModelLoadError, "a step", "fewer rows", at_least=1 << 60),
    ):
        begun.append(True)
    assert not begun
    with enough_memory(ModelLoadError, "a step", "fewer rows", at_least=1 << 10):
        begun.append(True)
    assert begun


def test_an_answer_is_a_float32_for_each_token():
    assert 4 * 2 * 3 * 5 == answer_bytes(2, 3, 5)
