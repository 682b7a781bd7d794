# ruff: noqa: E501
import math

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Link, Policy, Strategy, predict
from migkit.errors import UsageError
from migkit.scenario.guest import MAX_CLASSES, compression_ratio


def test_as_many_classes_as_are_allowed_are_predicted():
    classes = tuple(DirtyClass(region_bytes=2**20, writes_per_s=10.0 + n) for n in range(MAX_CLASSES))
    result = predict(
        guest=Guest(memory_bytes=2**28, dirty=classes), policy=Policy(max_bandwidth_bytes_per_s=5e7), level=None
    )
    assert result.verdict == "converges"
    assert sum(r.sent_bytes for r in result.rounds) == pytest.approx(result.transferred_bytes)


def test_numbers_of_numpy_become_python_s():
    guest = Guest(memory_bytes=np.int64(2**28), capacity_writes_per_s=np.float32(5))
    assert type(guest.memory_bytes) is int
    assert type(guest.capacity_writes_per_s) is float


def test_entropy_bounds_the_compression():
    assert compression_ratio(4) == 2.0
    with pytest.raises(UsageError, match=r"^entropy: 9 bit/B is out of range; it must be above 0, at most 8$"):
        compression_ratio(9)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Guest(memory_bytes=2**28, dirty=[]), "guest.dirty: [] is not a tuple of DirtyClass; write (DirtyClass(...),)"),
        (lambda: Guest(memory_bytes=2.0**28), "guest.memory_bytes: 268435456.0 is not a whole number; give one without a fraction"),
        (lambda: Guest(memory_bytes="1 GiB"), "guest.memory_bytes: '1 GiB' is not a number; give a number in the unit that the name says"),
        (lambda: Guest(memory_bytes=True), "guest.memory_bytes: True is not a number; give a number in the unit that the name says"),
        (lambda: Link(rtt_s=math.inf), "link.rtt_s: infinity is too large; give a finite number"),
        (lambda: Link(steps=[(1.0, 1.0)]), "link.steps: [(1.0, 1.0)] is not a tuple of steps; write each as (seconds, share)"),
        (lambda: Link(steps=((1.0,),)), "link.steps: (1.0,) is not a step; write it as (seconds, share)"),
        (lambda: Strategy(tls=1), "strategy.tls: 1 is not a switch; it must be true or false"),
        (lambda: Strategy(streams=None), "strategy.streams: None is not a number; give a number in the unit that the name says"),
        (lambda: Policy(name=None), None),
        (lambda: DirtyClass(region_bytes=4096, writes_per_s=1, kind="Random"), "guest.dirty.kind: 'Random' is not known; use one of random, sweep, growth"),
    ],
)  # fmt: skip
def test_wrong_values_in_python_are_one_line(build, message):
    with pytest.raises(UsageError) as caught:
        build()
    assert message is None or str(caught.value) == message
    assert "\n" not in str(caught.value)


def test_memory_that_is_too_small_says_by_how_much():
    class_of = DirtyClass(region_bytes=320 * 2**20 + 15 * 4096, writes_per_s=1.0)
    with pytest.raises(UsageError, match=r"exceed the memory \(512 MiB\) by 60 KiB; shrink a region"):
        Guest(memory_bytes=2**29, zero_bytes=192 * 2**20, dirty=(class_of,))
