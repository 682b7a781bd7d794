"""Differences between pages: what is encoded is decoded, in the words promised; anything else is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migkit.harness.protocol import pages as page_loops
from migkit.harness.protocol.encoding import delta

PAGE = np.arange(1, 513)


def difference(old, new):
    out = np.full(512, -1)
    return out[: delta.encode(old, new, out)]


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 511), max_size=600), st.booleans())
def test_what_is_encoded_is_decoded(changed, negative):
    new = PAGE.copy()
    new[list(changed)] = -7 if negative else 1 << 62
    out = difference(PAGE, new)
    runs = sum(word - 1 not in changed for word in changed)
    words = runs // 2 + 1 + len(changed)
    if words >= 512:
        assert delta.encode(PAGE, new, np.zeros(512, np.int64)) == -1
        return
    assert out.size == words
    page = PAGE.copy()
    assert delta.decode(out, page)
    assert (page == new).all()


@pytest.mark.parametrize(("changed", "words"), [([], 1), ([3], 2), ([3, 4, 5], 4), ([3, 9], 4), ([0, 511], 4)])
def test_a_difference_costs_what_is_documented(changed, words):
    new = PAGE.copy()
    new[changed] = 0
    assert difference(PAGE, new).size == words


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, 1 << 34)), min_size=1, max_size=40))
def test_any_words_are_decoded_within_the_page_or_refused(words):
    memory = np.zeros(3 * 512, np.int64)
    delta.decode(np.array(words), memory[512:1024])
    assert not memory[:512].any()
    assert not memory[1024:].any()


@pytest.mark.parametrize("words", [[2], [0, 5], [1 | 510 << 16 | 3 << 32, 7, 7, 7], [1 | 3 << 16 | 1 << 32, 7, 7]])
def test_what_is_no_difference_is_refused(words):
    assert not delta.decode(np.array(words), PAGE.copy())


def packed(memory, pages, cache, turn):
    """Send some pages; return the headers and the words behind them."""
    headers, bodies = np.array(pages), np.zeros(512 * 8, np.int64)
    used = delta.pack(memory, headers, bodies, np.zeros(512 * 8, np.int64), *cache, turn)
    return headers, bodies[:used]


def new_cache(slots):
    return np.full(slots, -1), np.zeros(slots, np.int64), np.zeros(slots * 512, np.int64)


def test_a_page_that_was_sent_before_goes_as_a_difference():
    memory, cache = np.arange(4 * 512), new_cache(4)
    _, bodies = packed(memory, [0, 1], cache, 2)
    assert bodies.size == 1024
    memory[700] = -1
    second, bodies = packed(memory, [1, 2, 0], cache, 3)
    assert (second >> page_loops.KIND_SHIFT).tolist() == [page_loops.DELTA, page_loops.FULL, page_loops.DELTA]
    assert bodies.size == 512 + 2 + 1
    target = np.arange(4 * 512)
    assert delta.apply(second, bodies[512:], target)
    assert target[700] == -1
    target[700] = 700
    assert (target == np.arange(4 * 512)).all()


def test_a_page_that_became_zero_is_remembered_as_such():
    memory, cache = np.arange(512), new_cache(1)
    packed(memory, [0], cache, 2)
    packed(memory, [page_loops.ZERO << page_loops.KIND_SHIFT], cache, 3)
    memory[:] = 0
    memory[5] = 9
    _, bodies = packed(memory, [0], cache, 4)
    assert bodies.size == 2


def test_a_slot_is_taken_only_from_a_page_that_was_not_sent_lately():
    memory, cache = np.arange(4 * 512), new_cache(2)
    packed(memory, [0], cache, 2)
    packed(memory, [2], cache, 3)
    assert cache[0].tolist() == [0, -1]
    packed(memory, [2], cache, 4)
    assert cache[0].tolist() == [2, -1]
