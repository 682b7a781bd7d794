import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migkit.harness.protocol import pages

PAGES = 12


def memory(seed=0, zero=(3, 7)):
    words = np.random.default_rng(seed).integers(1, 1 << 62, PAGES * 512)
    for page in zero:
        words[page * 512 : (page + 1) * 512] = 0
    return words


def taken(words, marked, position=0, budget=1e12, room=PAGES, holes=()):
    bitmap, hole = np.zeros(PAGES, np.uint8), np.zeros(PAGES, np.uint8)
    bitmap[list(marked)] = 1
    hole[list(holes)] = 1
    headers, tally = np.zeros(room, np.int64), np.zeros(2, np.int64)
    end = pages.select(words, bitmap, hole, position, budget, headers, tally)
    return headers[: tally.sum()], tally.tolist(), end, bitmap


def test_pages_are_taken_in_address_order_and_wrap():
    headers, tally, end, bitmap = taken(memory(), [1, 3, 5, 9], position=4)
    assert (headers & pages.INDEX_MASK).tolist() == [5, 9, 1, 3]
    assert (headers >> pages.KIND_SHIFT).tolist() == [pages.FULL, pages.FULL, pages.FULL, pages.ZERO]
    assert (tally, end, bitmap.any()) == ([3, 1], 4, False)


def test_taking_ends_with_the_page_that_reaches_the_budget():
    headers, _, end, bitmap = taken(memory(), range(PAGES), budget=4104 + 1)
    assert (headers & pages.INDEX_MASK).tolist() == [0, 1]
    assert (end, int(bitmap.sum())) == (2, PAGES - 2)


def test_a_known_hole_is_zero_without_a_look():
    headers, tally, _, _ = taken(memory(), [5], holes=[5])
    assert (int(headers[0]) >> pages.KIND_SHIFT, tally) == (pages.ZERO, [0, 1])


def test_marking_counts_new_pages_once_and_ends_holes():
    bitmap, holes = np.zeros(PAGES, np.uint8), np.ones(PAGES, np.uint8)
    assert pages.mark(bitmap, holes, np.array([2, 5, 4, 6])) == 4
    assert bitmap.tolist() == [0, 0, 1, 1, 1, 1] + [0] * 6
    assert holes.tolist() == [1, 1, 0, 0, 0, 0] + [1] * 6


@settings(max_examples=40)
@given(st.sets(st.integers(0, PAGES - 1), min_size=1), st.integers(0, PAGES - 1))
def test_what_is_gathered_and_scattered_is_the_memory(marked, position):
    words = memory()
    headers, (full, zero), _, _ = taken(words, marked, position)
    bodies = np.full(PAGES * 513, -1)
    assert pages.gather(words, headers, bodies, 9) == (full * 512, pages.checksum(bodies[: full * 512], 9))
    target, present, counts = np.full(PAGES * 512, 5), np.ones(PAGES, np.uint8), np.zeros(3, np.int64)
    assert pages.tally(headers, PAGES, counts) == 0
    assert counts.tolist() == [full, zero, 0]
    pages.scatter(headers, bodies[: full * 512], target)
    pages.settle(headers, target, present)
    expected = np.full(PAGES * 512, 5)
    for page in marked:
        expected[page * 512 : (page + 1) * 512] = words[page * 512 : (page + 1) * 512]
    assert (target == expected).all()


def test_a_zero_page_where_nothing_was_written_needs_no_write():
    target, present = np.full(512, 5), np.zeros(1, np.uint8)
    pages.settle(np.array([pages.ZERO << pages.KIND_SHIFT]), target, present)
    assert (target == 5).all()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (PAGES, pages.BAD_INDEX),
        (1 << pages.LENGTH_SHIFT, pages.BAD_INDEX),
        ((pages.DELTA << pages.KIND_SHIFT) | 5 << pages.LENGTH_SHIFT | PAGES, pages.BAD_INDEX),
        (9 << pages.KIND_SHIFT, pages.BAD_KIND),
        (-1, pages.BAD_KIND),
        (pages.DELTA << pages.KIND_SHIFT, pages.BAD_LENGTH),
        ((pages.DELTA << pages.KIND_SHIFT) | 512 << pages.LENGTH_SHIFT, pages.BAD_LENGTH),
    ],
)
def test_a_header_that_is_not_sound_is_refused(header, reason):
    assert pages.tally(np.array([1, header]), PAGES, np.zeros(3, np.int64)) == reason


def test_runs_are_those_of_neighbouring_full_pages():
    headers = np.array([4, 5, 6, 9, (pages.ZERO << pages.KIND_SHIFT) | 10, 2])
    out = np.zeros(12, np.int64)
    assert pages.runs(headers, out) == 3
    assert out[:6].tolist() == [4, 3, 9, 1, 2, 1]


@settings(max_examples=200)
@given(st.integers(1, 2000), st.data())
def test_a_changed_bit_changes_the_checksum(size, data):
    words = np.random.default_rng(size).integers(-(1 << 62), 1 << 62, size)
    at, bit = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, 62))
    before = pages.checksum(words, 7)
    words[at] ^= 1 << bit
    assert pages.checksum(words, 7) != before


def test_swapped_words_and_blocks_change_the_checksum():
    words = np.random.default_rng(1).integers(0, 1 << 62, 1536)
    swapped, blocks = words.copy(), words.copy()
    swapped[[3, 200]] = swapped[[200, 3]]
    blocks[:512], blocks[512:1024] = words[512:1024], words[:512]
    assert len({pages.checksum(each, 0) for each in (words, swapped, blocks)}) == 3


@pytest.mark.parametrize(("head", "length_bytes"), [(0, 0), (0, 13), (2, 16), (3, 24 + 8192 + 5)])
def test_the_sum_of_a_frame_is_that_of_its_parts_in_turn(head, length_bytes):
    frame = np.arange(7, 7 + 2048)
    body = 4 + head
    parts = frame[:4], frame[4:body], frame[body : 4 + -(-length_bytes // 8)]
    total = 0
    for part in parts:
        total = pages.checksum(part, total)
    assert pages.frame_sum(frame, head, length_bytes) == total
